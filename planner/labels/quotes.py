"""What asking models costs before anybody asks: the expected price and one that no answer can exceed.

In: models as a user names them, a price book, sizes. Out: who serves a model, and integer prices. Knows nothing of apps, of what
is chosen, or of how answers are fetched.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, PriceError
from planner.prices import PriceBook
from planner.prices.columns import Strings
from planner.schema import EVIDENCE, TOKEN_BUCKETS

__all__ = ["OVERHEAD_TOKENS", "Served", "ask_pusd", "at_most_pusd", "dollars", "served"]

Ints = NDArray[np.int64]
#: What a provider adds around the messages [tokens]: roles, separators, a preamble; assumed, and generous.
OVERHEAD_TOKENS = 256
#: Where rates change with the time of day, those of noon UTC, which no provider discounts.
_NOON = dt.time(12)
_INPUT, _WRITTEN, _OUTPUT = (TOKEN_BUCKETS.index(n) for n in ("input_tokens", "cache_write_5m_tokens", "output_tokens"))


@dataclass(frozen=True, slots=True)
class Served:
    """A model that can be asked: its name, the provider that serves it, and its context window [tokens], None where not known."""

    model: str
    provider: str
    window: int | None


def dollars(usd: float) -> str:
    """Write [USD]: with cents, more digits below one.

    >>> dollars(1234.5), dollars(0.0042), dollars(0.0)
    ('$1,234.50', '$0.0042', '$0.00')
    """
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.2g}"


def served(models: Sequence[str], logged: Mapping[str, str], book: PriceBook, at: dt.date) -> tuple[Served, ...]:
    """Return who serves each of ``models``: the provider that the log names for it, else the price book's own.

    Raises InputError for a model named twice, PriceError for one without a standard rate.
    """
    if not models or len({*models}) < len(models):
        raise InputError(f"candidates {', '.join(models) or 'none'}", "the models to label, each once", "name them: --candidate MODEL")
    found = []
    for model in models:
        provider, _ = book.resolve(model, logged.get(model))
        book.quote(model, provider, at=at)
        found.append(Served(model, provider, book.context_window(model, provider)))
    return tuple(found)


def ask_pusd(
    book: PriceBook, provider: Strings, model: Strings, tokens_in: Ints, tokens_out: Ints, at: dt.date, tier: str = "standard"
) -> tuple[Ints, str]:
    """Return the price of asking with nothing cached, shape (n,) [pUSD], and the weakest evidence of the rates.

    ``provider`` and ``model`` are one for all or n. Raises PriceError where there is no rate.
    """
    return _priced(book, provider, model, {_INPUT: tokens_in, _OUTPUT: tokens_out}, at, tier)


def at_most_pusd(
    book: PriceBook, provider: Strings, model: Strings, tokens_in: Ints, tokens_out: Ints, at: dt.date, tier: str = "standard"
) -> Ints:
    """Return the same if all input were also written to the provider's cache, for which some charge more; shape (n,) [pUSD]."""
    dear, _ = _priced(book, provider, model, {_WRITTEN: tokens_in, _OUTPUT: tokens_out}, at, tier)
    return np.maximum(dear, ask_pusd(book, provider, model, tokens_in, tokens_out, at, tier)[0])


def _priced(book: PriceBook, provider: Strings, model: Strings, counts: Mapping[int, Ints], at: dt.date, tier: str) -> tuple[Ints, str]:
    tokens = np.zeros((len(next(iter(counts.values()))), len(TOKEN_BUCKETS)), np.int64)
    for bucket, values in counts.items():
        tokens[:, bucket] = values
    found = book.price(provider, model, tier, tokens, dt.datetime.combine(at, _NOON))
    if (found.reason != 0).any():
        raise PriceError(found.reasons[int(found.reason.max())])
    return found.cost_pusd, EVIDENCE[int(found.evidence.max(initial=0))]
