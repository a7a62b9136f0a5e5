"""Prints: what two requests share, as 64-bit keys: all of it, or the leading blocks of the prompt.

In: messages as the log stores them (JSON text). Out: one key per whole text; the chained keys of the prompt's leading
blocks, so that equal keys mean equal text from the first character on. Text is compared as stored: another spelling of the
same JSON counts as different, which only understates what is shared. Among 37 million keys the chance of any collision is
4 in 100,000; keys are never turned back into text. Knows nothing of models, money or time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES_PER_TOKEN", "VERSION", "Prefixes", "joint_keys", "leading", "prefix_keys", "text_keys"]

#: Part of the name under which prints are stored; raise it when a key changes.
VERSION = "prints-2"
#: What a block of n tokens is taken to be [bytes of JSON]: English prose has about four characters a token.
BYTES_PER_TOKEN = 4
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Prefixes:
    """The leading blocks of ``n`` prompts.

    Parameters
    ----------
    keys: uint64, all prompts' block keys one after another; a key stands for the block *and all before it*.
    start: int64 (n + 1,): prompt i has ``keys[start[i]:start[i + 1]]``.
    size: int64 (n,) length of the whole prompt, in the unit in which a block has length ``block``.
    block: length of a full block; a last partial block has no key, unless ``partial``.
    partial: the last block may be shorter, and has a key (traces that give block ids).
    """

    keys: NDArray[np.uint64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    block: int
    partial: bool = False

    def __len__(self) -> int:
        return len(self.size)

    def take(self, rows: NDArray[np.int64], kept: NDArray[np.bool_]) -> Prefixes:
        """Return the blocks of the prompts at ``rows``, none where not ``kept``.

        >>> p = prefix_keys(["x" * 1000, "y" * 1000], 128).take(np.array([1, 0]), np.array([True, False]))
        >>> p.start.tolist(), p.size.tolist()
        ([0, 1, 1], [1000, 1000])
        """
        counts = np.where(kept, self.start[rows + 1] - self.start[rows], 0)
        start = np.append(0, np.cumsum(counts))
        source = np.arange(start[-1]) + np.repeat(self.start[rows] - start[:-1], counts)
        return Prefixes(self.keys[source], start, self.size[rows], self.block, self.partial)

    def share(self, blocks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return which part of each prompt its first ``blocks`` blocks are, in [0, 1].

        >>> prefix_keys(["x" * 1000], 128).share(np.array([1])).tolist()
        [0.512]
        """
        covered: NDArray[np.float64] = np.minimum(blocks * self.block / np.maximum(self.size, 1), 1.0)
        return covered


def leading(flags: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many flags are true in a row from the start of each run of ``counts``.

    >>> leading(np.array([True, True, False, False, True]), np.array([3, 0, 2])).tolist()
    [2, 0, 0]
    """
    run = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(flags)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = counts.copy()
    np.minimum.at(out, run[~flags], place[~flags])
    return out


def prefix_keys(messages: Iterable[str | None], block_tokens: int) -> Prefixes:
    """Return the chained keys of every prompt's full leading blocks of about ``block_tokens`` tokens; none for None.

    >>> a, b = "s" * 600 + "one", "s" * 600 + "two"
    >>> p = prefix_keys([a, b, None], 128)
    >>> p.start.tolist(), bool(p.keys[0] == p.keys[1])
    ([0, 1, 2, 2], True)
    """
    block = block_tokens * BYTES_PER_TOKEN
    digests: list[bytes] = []
    counts, sizes = [0], []
    for text in messages:
        raw = (text or "").encode("utf-8", "surrogatepass")
        state = blake2b(digest_size=8)
        full = len(raw) // block
        for at in range(0, full * block, block):
            state.update(raw[at : at + block])
            digests.append(state.digest())
        counts.append(full)
        sizes.append(len(raw))
    keys = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
    return Prefixes(keys, np.cumsum(counts, dtype=np.int64), np.array(sizes, np.int64), block)


def text_keys(messages: Iterable[str | None]) -> NDArray[np.uint64]:
    """Return one key per text, 0 for None.

    >>> k = text_keys(["hi", "hi", "ho", None])
    >>> bool(k[0] == k[1]), bool(k[0] == k[2]), int(k[3])
    (True, False, 0)
    """
    none = bytes(8)
    digests = (none if t is None else blake2b(t.encode("utf-8", "surrogatepass"), digest_size=8).digest() for t in messages)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def joint_keys(keys: NDArray[np.uint64], *codes: NDArray[Any]) -> NDArray[np.uint64]:
    """Mix ``codes`` (one column per parameter: whole numbers, or keys of strings) into ``keys``; a key of 0 stays 0.

    >>> k = joint_keys(np.array([7, 7, 7, 0], np.uint64), np.array([1, 1, 2, 1]))
    >>> bool(k[0] == k[1]), bool(k[0] == k[2]), int(k[3])
    (True, False, 0)
    """
    mixed = keys
    for column in codes:
        mixed = _mix(mixed ^ (column.astype(np.int64).view(np.uint64) * _ODD))
    return np.where(keys == 0, np.uint64(0), mixed)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of MurmurHash3 (Appleby 2011): a bijection of 64-bit words."""
    z = (z ^ (z >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    z = (z ^ (z >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return z ^ (z >> np.uint64(33))
