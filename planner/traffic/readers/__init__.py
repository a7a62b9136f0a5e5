"""One file per log format; each defines ``READER``."""
