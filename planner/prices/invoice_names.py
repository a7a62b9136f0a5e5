"""What an invoice calls a model: display names, SKUs and meters → the one spelling, and the kind of token they speak of.

In: a provider's id and a text of an invoice. Out: the model, or an empty string where the text names none. A text names the model whose
words stand in it beside each other; of several the longest. Knows nothing of money.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from planner.errors import PriceError
from planner.prices.book import PriceBook
from planner.prices.identity import identity, short

__all__ = ["KINDS", "Models", "factor", "token_kind"]

#: The kinds of token that invoices tell apart.
KINDS = ("input", "cache_read", "cache_write", "output")
_PATTERNS = (
    ("cache_write", re.compile(r"cach\w*[\s_.-]*(?:writ|creat)|(?:writ|creat)\w*[\s_.-]*cach", re.IGNORECASE)),
    ("cache_read", re.compile(r"cach|cchd", re.IGNORECASE)),
    ("output", re.compile(r"out(?:put|p|pt)?(?=[^a-z]|$)|outp|completion|reasoning", re.IGNORECASE)),
    ("input", re.compile(r"in(?:put|p|pt)?(?=[^a-z]|$)|inp|prompt", re.IGNORECASE)),
)
_NO_CACHE = re.compile(r"no[\s_.-]*cache|uncached", re.IGNORECASE)
_UNIT = re.compile(r"^\s*(\d[\d,]*)?\s*([kmb])?\s*tokens?\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+|\d{1,2}(?:[.-]\d{1,2})*(?!\d)|\d+", re.ASCII)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: A name without blanks, with a letter and a digit: a model's id, if the book knows it.
_ID = re.compile(r"(?=.*[a-zA-Z])(?=.*\d)[\w.:/@-]+", re.ASCII)
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
#: Clouds that sell models of others: whose ids their invoices may name.
_RESOLD = {"azure": ("openai",)}


def token_kind(text: str) -> str:
    """Return the kind of token that a text speaks of, "" where it says none.

    >>> token_kind("gpt-5-nano, cached input"), token_kind("input_no_cache"), token_kind("Claude4.5Haiku-cache-write"), token_kind("x")
    ('cache_read', 'input', 'cache_write', '')
    """
    plain = _NO_CACHE.sub("", text)
    return next((kind for kind, pattern in _PATTERNS if pattern.search(plain)), "")


def factor(unit: str) -> int:
    """Return how many tokens a unit is, 0 where it is another one.

    >>> factor("1K Tokens"), factor("tokens"), factor("1,000,000 tokens"), factor("Hours")
    (1000, 1, 1000000, 0)
    """
    found = _UNIT.match(unit)
    return int((found[1] or "1").replace(",", "")) * _TIMES[(found[2] or "").lower()] if found else 0


@dataclass(frozen=True, eq=False)
class Models:
    """Finds models in texts; ``own`` is the user's: text as the invoice has it → model."""

    book: PriceBook
    own: Mapping[str, str] = field(default_factory=dict)
    _known: dict[str, dict[tuple[tuple[str, ...], tuple[str, ...]], str]] = field(default_factory=dict, repr=False)
    _memo: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def find(self, provider: str, text: str) -> str:
        """Return the model that ``text`` names, "" when there is none.

        >>> models = Models(PriceBook.load())
        >>> models.find("anthropic", "Claude Haiku 4.5"), models.find("azure", "gpt 5 mini inp glbl Tokens")
        ('claude-haiku-4-5', 'gpt-5-mini')
        >>> models.find("aws", "USE1-Claude4.5Haiku-input-tokens"), models.find("openai", "web search tool calls")
        ('claude-haiku-4-5', '')
        """
        key = (provider, text)
        if key not in self._memo:
            self._memo[key] = self._find(provider, text.strip())
        return self._memo[key]

    def _find(self, provider: str, text: str) -> str:
        if text in self.own:
            return identity(self.book, provider, self.own[text])[1]
        if _ID.fullmatch(text):
            with suppress(PriceError):
                return short(self.book.resolve(text, provider or None)[1])
        if provider not in self._known:
            self._known[provider] = self._index(provider)
        known, spelled = self._known[provider], (_words(text), _words(_CAMEL.sub(" ", text)))
        for length in range(10, 1, -1):
            keys = (_key(words[i : i + length]) for words in spelled for i in range(len(words) - length + 1))
            found = {known[key] for key in keys if key in known}
            if len(found) == 1:
                return found.pop()
        return ""

    def _index(self, provider: str) -> dict[tuple[tuple[str, ...], tuple[str, ...]], str]:
        """Return the words of every model of ``provider``; what two models share names neither."""
        index: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
        shared = set()
        for owner in (provider, *_RESOLD.get(provider, ())):
            for model in self.book.model_ids(owner):
                for name in {model, short(model)}:
                    key, one = _key(_words(name)), identity(self.book, provider, model)[1]
                    if index.setdefault(key, one) != one:
                        shared.add(key)
        return {key: model for key, model in index.items() if key not in shared}


def _words(text: str) -> list[str]:
    """Return words and version numbers, the latter with points: 4-5 and 4.5 are one."""
    return [word.replace("-", ".") for word in _WORD.findall(text.lower())]


def _key(words: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return words in any order and numbers in theirs: 'Claude 4.5 Haiku' is claude-haiku-4-5, and gpt-4.5 is not gpt-5.4."""
    return tuple(sorted(w for w in words if w.isalpha())), tuple(w for w in words if not w.isalpha())
