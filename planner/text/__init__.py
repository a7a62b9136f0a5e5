"""Text of requests: the one flattening of messages, token counts, keys of what repeats."""
