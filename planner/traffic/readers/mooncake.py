"""Mooncake traces: arrival [ms], lengths [tokens], and one id per 512-token block of the prompt's prefix."""

from __future__ import annotations

from collections.abc import Sequence

from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.values import Rejected, count, number

#: Where the trace's zero is put, since it states none [µs]: 2024-01-01T00:00:00Z.
EPOCH_US = 1_704_067_200_000_000
BLOCK_TOKENS = 512
_NEEDED = ("timestamp", "input_length", "output_length", "hash_ids")


def _sniff(sample: Sequence[Record]) -> str | None:
    return f"keys {', '.join(_NEEDED)}" if all(n in sample[0] for n in _NEEDED) else None


def _convert(record: Record, options: Options) -> Row:
    length, answer = count(record["input_length"], "input_length"), count(record["output_length"], "output_length")
    since = number(record["timestamp"], "timestamp")
    if length is None or answer is None or since is None:
        raise Rejected("no timestamp or no token counts")
    blocks = [count(b, "a hash id") for b in record["hash_ids"]]
    if len(blocks) * BLOCK_TOKENS < length or (len(blocks) - 1) * BLOCK_TOKENS >= max(length, 1):
        raise Rejected(f"{len(blocks)} prefix blocks of {BLOCK_TOKENS} tokens for an input of {length} tokens")
    return {
        "timestamp": EPOCH_US + round(since * 1000),
        "model": "unknown",
        "prefix_blocks": blocks,
        "input_tokens": length,
        "output_tokens": answer,
    }


READER = Reader(
    "mooncake",
    "JSON lines with timestamp, input_length, output_length, hash_ids",
    _sniff,
    _convert,
    ("the trace's time 0 is 2024-01-01T00:00:00Z", "model 'unknown': the trace names none (set it with mapping={'model': '=NAME'})"),
)
