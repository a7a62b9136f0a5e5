"""MicroBatch: several requests of an app share one call and its instructions.

In: how many may share and how long the first waits, arrivals, and the prompts. Out: when each request is sent, and the input tokens
that it need not send because another one of its call does, counted exactly. Counted in OpenAI's o200k vocabulary: other providers'
tokenizers cut finer, so that the saving is understated. Knows nothing of rates, or of what the instructions say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.policies.base import Block, Intents, Settings, where
from planner.policies.windows import arrivals_us, in_turn, per_app_and_model, schedule
from planner.text.messages import flattened, parse
from planner.text.tokens import count_tokens
from planner.traffic.derived import Piece

__all__ = ["MicroBatch", "leading", "saved_tokens"]

#: Part of the name under which counts are stored; raise it when others come out.
_VERSION = "leading-1"
#: Messages of a prompt that may be instructions: a system text and some examples.
_MESSAGES = 8
_UNCACHED, _READ = [0, 2, 3], 1
_US_PER_MS = 1_000


@dataclass(frozen=True)
class MicroBatch(Settings):
    """Put up to ``size`` requests of one app and model into one call; the first waits at most ``wait_ms`` for the others.

    Who shares a call follows ``windows.schedule`` with this wait as the window and this size as the limit; a request that stays alone
    has waited, and is sent as it was. The requests of a shared call send the leading messages that all of them have in common once; the
    last message of each is its question. What the provider's prompt cache had read of them is no saving: it stays as logged.

    What answering several questions at once does to quality is assumed, never measured from single calls: of a shared call it is
    unknown, its tokens are ``assumed``, and no floor is carried. Every request still counts as a call of its own, in the calls and
    against limits of requests a minute, and takes as long as it would alone once it is sent; a shared answer is complete later.

    >>> MicroBatch(("tags",), 8, 500).words()
    'micro-batch in tags: up to 8 requests share a call, waiting at most 500 ms'
    """

    apps: tuple[str, ...]
    size: int
    wait_ms: float

    key = "micro_batch"
    phase = "row"
    needs = ("messages",)
    writes = ("removed", "variant", "submit_ms", "stream")

    def __post_init__(self) -> None:
        self.some_apps(optional=False)
        self.number("size", "a whole number from 2 to 100", 2, 100, whole=True)
        self.number("wait_ms", "milliseconds ≥ 1", 1)

    @property
    def variant(self) -> str:
        """The ``prompt_variant`` of answers to so many questions at once."""
        return f"micro-batch-{self.size}"

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Set when the apps' requests are sent and what those of a shared call leave out; models must have been chosen before."""
        mine = in_turn(block.rows, self.apps)
        arrival, group = arrivals_us(block.rows)[mine], per_app_and_model(block.rows, intents, mine)
        submit, call = schedule(arrival, group, np.zeros_like(arrival), round(self.wait_ms * _US_PER_MS), self.size, 1)
        found, tokens = block.derived(_VERSION, partial(_read, block)), block.rows.tokens[mine]
        saved = saved_tokens(call, found["keys"][mine], found["tokens"][mine])
        shared = mine[np.bincount(call)[call] > 1]
        names = tuple(dict.fromkeys((*intents.variants, self.variant)))
        removed, submit_ms = intents.removed.copy(), intents.submit_ms.copy()
        variant, stream = intents.variant.copy(), intents.stream.copy()
        removed[mine] += np.clip(saved - tokens[:, _READ], 0, tokens[:, _UNCACHED].sum(axis=1))
        variant[shared], stream[shared] = names.index(self.variant), 0
        submit_ms[mine] = (submit - arrival) / _US_PER_MS
        return replace(intents, removed=removed, variant=variant, variants=names, submit_ms=submit_ms, stream=stream)

    def words(self) -> str:
        """Say what it does, for people."""
        return f"micro-batch {where(self.apps)}: up to {self.size} requests share a call, waiting at most {self.wait_ms:,g} ms"


def saved_tokens(call: ArrayLike, keys: ArrayLike, tokens: ArrayLike) -> NDArray[np.int64]:
    """Return the tokens that each of n requests need not send, (n,): all but the first of a call leave out what all have in common.

    Parameters
    ----------
    call: int64 (n,) which call each shares, as ``windows.schedule`` numbers them; requests in order of arrival.
    keys, tokens: (n, m) of the leading messages, as ``leading`` gives them.

    Examples
    --------
    >>> saved_tokens([0, 0, 1, 0], [[7, 8], [7, 9], [7, 8], [7, 8]], [[100, 130], [100, 120], [100, 130], [100, 130]])
    array([  0, 100,   0, 100])
    """
    of, print_, counted = np.asarray(call, np.int64), np.asarray(keys, np.uint64), np.asarray(tokens, np.int64)
    _, first, member = np.unique(of, return_index=True, return_inverse=True)
    common = np.ones((len(first), print_.shape[-1]), bool)
    np.logical_and.at(common, member, (print_ == print_[first][member]) & (print_ > 0))
    shared = np.column_stack([np.zeros(len(first), np.int64), counted[first]])[np.arange(len(first)), common.sum(axis=1)]
    saved: NDArray[np.int64] = shared[member]
    saved[first] = 0
    return saved


def _read(block: Block) -> Iterator[Piece]:
    """Describe every prompt, whatever its app: the counts outlive the choice of apps."""
    return map(leading, block.prompts())


def leading(prompts: Sequence[Any]) -> Piece:
    """Return ``keys`` uint64 and ``tokens`` int64 (n, 8) of each prompt's leading messages, all but its last: pure, row by row.

    Equal keys mean equal messages from the first one on; tokens count from there too. Beyond a prompt's messages, and where the log
    lacks its whole text (None), the key is 0.

    >>> chat = [{"role": "system", "content": "Sort the ticket."}, {"role": "user", "content": "My parcel is late."}]
    >>> leading([chat, "Hello", None])["tokens"][:, :2].tolist()
    [[4, 4], [0, 0], [0, 0]]
    """
    keys, tokens = (np.zeros((len(prompts), _MESSAGES), kind) for kind in (np.uint64, np.int64))
    parsed = [[] if prompt is None else parse(prompt)[:-1][:_MESSAGES] for prompt in prompts]
    lines = [flattened(messages).lines for messages in parsed]
    texts = list(dict.fromkeys(chain.from_iterable(lines)))
    counted = dict(zip(texts, count_tokens(texts).tolist(), strict=True))
    for i, messages in enumerate(parsed):
        state = blake2b(digest_size=8)
        for j, (message, line) in enumerate(zip(messages, lines[i], strict=True)):
            state.update(f"{message.get('role')}\0{line}\0".encode("utf-8", "surrogatepass"))
            keys[i, j], tokens[i, j] = int.from_bytes(state.digest(), "little"), counted[line]
    return {"keys": keys, "tokens": tokens.cumsum(axis=1)}
