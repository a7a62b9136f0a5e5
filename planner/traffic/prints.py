"""Prints of a log: what its requests share, made once and stored beside it.

In: a Traffic handle. Out: a key of each whole request, and the leading blocks of its prompt. Knows nothing of caches, lifetimes
or money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.text.prints import VERSION, Prefixes, joint_keys, prefix_keys, text_keys
from planner.traffic.handle import Traffic

__all__ = ["BLOCK_TOKENS", "TRACE_BLOCK_TOKENS", "Prints", "prints_of"]

Progress: TypeAlias = Callable[[int, int], None]
#: Text is compared in blocks of about this many tokens, OpenAI's own step.
BLOCK_TOKENS = 128
#: Block ids of traces stand for this many tokens (Mooncake).
TRACE_BLOCK_TOKENS = 512
_PARAMETERS = ("model", "app", "max_tokens", "response_format", "has_tools", "reasoning_effort", "modalities")


@dataclass(frozen=True, eq=False)
class Prints:
    """Keys of ``n`` requests: the whole question with all that shapes its answer, and the prompt's leading blocks.

    ``request`` is 0 where the text is absent or was cut; such prompts have no blocks, unless the log gives ids of them. A log
    without any text is known by its gateway's own cache keys, where it has them.
    """

    request: NDArray[np.uint64]
    prefixes: Prefixes


def prints_of(traffic: Traffic, progress: Progress | None = None) -> Prints:
    """Return the prints of every request of ``traffic``, in stored order; made once and stored beside the log.

    ``progress`` is called with steps done and in all while text is read.
    """
    if (traffic.arrow("text_state")["text_state"].to_numpy(zero_copy_only=False) == "full").any():
        made = traffic.derived(f"{VERSION}-{BLOCK_TOKENS}", lambda: _hashed(traffic, progress))
        keys = joint_keys(made["text"], *_parameters(traffic))
        return Prints(keys, Prefixes(made["keys"], made["start"], made["size"], int(made["block"])))
    return Prints(text_keys(traffic.arrow("cache_key")["cache_key"].to_pylist()), _trace_blocks(traffic))


def _hashed(traffic: Traffic, progress: Progress | None) -> dict[str, NDArray[Any]]:
    """Hash whole texts, and their leading blocks; a text that is absent or was cut has neither."""
    text, parts, done = [], [], 0
    for batch in traffic.batches(("messages", "text_state"), 8_192):
        whole = pc.if_else(pc.equal(batch["text_state"], "full"), batch["messages"], None).to_pylist()
        text.append(text_keys(whole))
        parts.append(prefix_keys(whole, BLOCK_TOKENS))
        done += len(whole)
        if progress:
            progress(done, 2 * len(traffic))
    counts = np.concatenate([np.diff(p.start) for p in parts])
    return {
        "text": np.concatenate(text),
        "keys": np.concatenate([p.keys for p in parts]),
        "start": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "size": np.concatenate([p.size for p in parts]),
        "block": np.array(parts[0].block),
    }


def _parameters(traffic: Traffic) -> list[NDArray[Any]]:
    table = traffic.arrow(*_PARAMETERS)
    columns = [table[n].combine_chunks() for n in _PARAMETERS]
    return [c.dictionary_encode(null_encoding="encode").indices.to_numpy(zero_copy_only=False).astype(np.int64) for c in columns]


def _trace_blocks(traffic: Traffic) -> Prefixes:
    blocks = traffic.arrow("prefix_blocks")["prefix_blocks"].combine_chunks()
    counts = pc.fill_null(pc.list_value_length(blocks), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    keys = pc.list_flatten(blocks).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    return Prefixes(keys, start, np.where(counts > 0, traffic.tokens()[:, :4].sum(axis=1), 0), TRACE_BLOCK_TOKENS, partial=True)
