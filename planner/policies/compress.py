"""Compress: send the same requests in fewer input tokens.

In: a method of ``planner.text.compress`` with its settings, and the prompts. Out: how many input tokens of every request are no longer
sent, counted exactly, and the prompt variant under which labels can measure what that does to quality. Until labels hold that
variant its quality is assumed, and a saving that leans on it carries no floor. Counted in OpenAI's o200k vocabulary: other
providers' tokenizers cut finer, so that their saving is understated. Knows nothing of rates or caches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.policies.base import Block, Intents, Settings, in_apps, where
from planner.text.compress import METHODS, compress
from planner.text.history import message_tokens
from planner.text.messages import parse
from planner.traffic.derived import Piece

__all__ = ["Compress"]

#: Part of the name under which counts are stored; raise it when a method gives other texts.
_VERSION = "compress-1"
_INPUT = slice(0, 4)


@dataclass(frozen=True)
class Compress(Settings):
    """Compress the prompts of users' own requests.

    Parameters
    ----------
    method: ``lossless`` (white space, JSON, repeated blocks), ``history`` (old turns go) or ``rank`` (contexts are cut to what the
        question needs).
    ratio: rank: how many times fewer tokens a context has. budget_tokens: in its place the tokens of all contexts of a request; for
        ``history`` those of the whole prompt.
    keep_turns: history: the newest turns that stay.
    keep_prefix: the leading system text stays as it is, so that the provider's prompt cache still finds it.
    apps: which; None: all.

    Examples
    --------
    >>> Compress("rank", apps=("docs",)).words(), Compress("rank").variant
    ('compress contexts in docs to 1/2 of their tokens by rank', 'compress-rank-2')
    >>> Compress("zip")
    Traceback (most recent call last):
        ...
    planner.policies.base.LeverError: Got compress method is 'zip'; expected one of lossless, history, rank.
    """

    method: str
    ratio: float = 2.0
    budget_tokens: int | None = None
    keep_turns: int = 4
    keep_prefix: bool = True
    apps: tuple[str, ...] | None = None

    key = "compress"
    phase = "row"
    needs = ("messages",)
    writes = ("removed", "variant")

    def __post_init__(self) -> None:
        self.text("method", f"one of {', '.join(METHODS)}", METHODS)
        self.number("ratio", "how many times fewer tokens, 1 or more", 1)
        self.number("budget_tokens", "a number of tokens ≥ 0", 0, whole=True, optional=True)
        self.number("keep_turns", "a number of turns, at least 1", 1, whole=True)
        self.flag("keep_prefix")
        self.some_apps()

    @property
    def variant(self) -> str:
        """The ``prompt_variant`` of labels that were made with this method and these settings."""
        sizes = {
            "lossless": "",
            "history": f"-{self.keep_turns}" + ("" if self.budget_tokens is None else f"-{self.budget_tokens}t"),
            "rank": f"-{self.ratio:g}" if self.budget_tokens is None else f"-{self.budget_tokens}t",
        }
        return f"compress-{self.method}{sizes[self.method]}{'' if self.keep_prefix else '-all'}"

    def assumes_quality(self, measured: Collection[str]) -> bool:
        """Say whether no label measured this variant; then the saving carries no floor.

        >>> Compress("rank").assumes_quality({""}), Compress("rank").assumes_quality({"compress-rank-2"})
        (True, False)
        """
        return self.variant not in measured

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Say how many tokens of each request's input are no longer sent; a prompt that loses none stays as logged.

        Labelled requests come without prompts: there every request of the apps is of the variant, and its tokens are not asked.
        """
        n, mine = len(block.rows), in_apps(block.rows, self.apps)
        counted = block.derived(f"{_VERSION}-{self.variant}", partial(self._counted, block))["removed"]
        blind = len(counted) != n
        removed = np.where(mine, np.minimum(counted, block.rows.tokens[:, _INPUT].sum(axis=1)), 0) if not blind else np.zeros(n, np.int64)
        names = tuple(dict.fromkeys((*intents.variants, self.variant)))
        code = np.where(mine & (blind | (removed > 0)), names.index(self.variant), intents.variant).astype(np.int32)
        return replace(intents, removed=intents.removed + removed, variant=code, variants=names)

    def _counted(self, block: Block) -> Iterator[Piece]:
        """Count for every request, whatever its app: the counts outlive the choice of apps. None are counted without prompts."""
        yield {"removed": np.zeros(0, np.int64)}
        for prompts in block.prompts():
            yield {"removed": self.removed(prompts)}

    def removed(self, prompts: Iterable[Any]) -> NDArray[np.int64]:
        """Return how many tokens each prompt (messages, None where the log lacks its whole text) loses, (n,): pure, row by row.

        >>> Compress("lossless").removed([[{"role": "user", "content": '{"a":  [1,  2,  3]}'}], None]).tolist()
        [6, 0]
        """
        return np.array([0 if p is None else self._removed(p) for p in prompts], np.int64)

    def _removed(self, prompt: Any) -> int:
        messages = parse(prompt)
        return max(message_tokens(messages) - message_tokens(self.changed(messages)), 0)

    def changed(self, messages: Any) -> list[dict[str, Any]]:
        """Return the messages to send in place of ``messages``."""
        return compress(
            messages,
            self.method,
            ratio=self.ratio,
            budget_tokens=self.budget_tokens,
            keep_turns=self.keep_turns,
            keep_prefix=self.keep_prefix,
        )

    def words(self) -> str:
        """Say what it does, for people."""
        place = where(self.apps)
        if self.method == "lossless":
            return f"compress prompts {place} without loss"
        if self.method == "history":
            limit = "" if self.budget_tokens is None else f", at most {self.budget_tokens:,} tokens"
            return f"compress histories {place} to {self.keep_turns} turns{limit}"
        size = f"to 1/{self.ratio:g} of their tokens" if self.budget_tokens is None else f"to {self.budget_tokens:,} tokens a request"
        return f"compress contexts {place} {size} by rank"
