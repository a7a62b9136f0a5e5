"""Prints of a log: what its requests share, made once and stored beside it.

In: a Traffic handle. Out: a key of each whole request, and the leading blocks of its prompt. Knows nothing of caches, lifetimes
or money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.schema import PARAMETERS, TOKEN_BUCKETS
from planner.text.prints import BYTES_PER_TOKEN, VERSION, Prefixes, joint_keys, prefix_keys, text_keys
from planner.traffic.derived import Piece
from planner.traffic.handle import Traffic
from planner.traffic.rows import string_keys

__all__ = ["BLOCK_TOKENS", "TRACE_BLOCK_TOKENS", "Prints", "prints_of"]

Progress: TypeAlias = Callable[[int, int], None]
#: Text is compared in blocks of about this many tokens, OpenAI's own step.
BLOCK_TOKENS = 128
#: Block ids of traces stand for this many tokens (Mooncake).
TRACE_BLOCK_TOKENS = 512
_INPUT = TOKEN_BUCKETS[:4]


@dataclass(frozen=True, eq=False)
class Prints:
    """Keys of ``n`` requests: the whole question with all that shapes its answer, and the prompt's leading blocks.

    ``request`` is 0 where the text is absent or was cut; such prompts have no blocks, unless the log gives ids of them. A log
    without any text is known by its gateway's own cache keys, where it has them.
    """

    request: NDArray[np.uint64]
    prefixes: Prefixes


def prints_of(traffic: Traffic, progress: Progress | None = None, positions: NDArray[np.int64] | None = None) -> Prints:
    """Return the prints of every request of ``traffic``, or of those at ``positions`` alone (ascending, each once), in stored order.

    A request's prints are the same in any part of the log. They are made once and stored beside it; ``progress`` is called with steps
    done and in all while text is read.
    """
    if traffic.has_text:
        made = traffic.derived(f"{VERSION}-{BLOCK_TOKENS}", lambda: _hashed(traffic, progress))
        prefixes = Prefixes(made["keys"], made["start"], made["size"], BLOCK_TOKENS * BYTES_PER_TOKEN)
        if positions is None:
            return Prints(made["request"], prefixes)
        return Prints(made["request"][positions], prefixes.take(positions, np.ones(len(positions), bool)))
    columns = ("cache_key", "prefix_blocks", *_INPUT)
    table = traffic.arrow(*columns) if positions is None else traffic.take(positions, *columns)
    return Prints(string_keys(table["cache_key"]), _trace_blocks(table))


def _hashed(traffic: Traffic, progress: Progress | None) -> Iterator[Piece]:
    """Hash whole texts, with what else shapes the answer and by leading blocks; a text that is absent or was cut has neither."""
    done = before = 0
    yield {"start": np.zeros(1, np.int64)}
    for batch in traffic.batches(("messages", "text_state", *PARAMETERS), 8_192):
        whole = pc.if_else(pc.equal(batch["text_state"], "full"), batch["messages"], None).to_pylist()
        request = joint_keys(text_keys(whole), *(string_keys(batch[name].cast(pa.string())) for name in PARAMETERS))
        found = prefix_keys(whole, BLOCK_TOKENS)
        yield {"request": request, "keys": found.keys, "start": before + found.start[1:], "size": found.size}
        done, before = done + len(whole), before + len(found.keys)
        if progress:
            progress(done, 2 * len(traffic))


def _trace_blocks(table: pa.Table) -> Prefixes:
    blocks = table["prefix_blocks"].combine_chunks()
    counts = pc.fill_null(pc.list_value_length(blocks), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    keys = pc.list_flatten(blocks).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    tokens = sum(table[name].to_numpy() for name in _INPUT)
    return Prefixes(keys, start, np.where(counts > 0, tokens, 0), TRACE_BLOCK_TOKENS, partial=True)
