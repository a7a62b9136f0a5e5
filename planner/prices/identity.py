"""Identity: one spelling of provider and model, so that logs, contracts and invoices can be laid side by side.

In: names as any of them spells them. Out: the book's provider and the model's plain name, without region, vendor, date and version; a name
that the book does not know stays as it is. Knows nothing of money.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import PriceError
from planner.prices.book import PriceBook
from planner.prices.names import plain

__all__ = ["groups", "identities", "identity", "months", "short"]

_VENDOR = re.compile(
    r"^(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|mistral|moonshotai|nvidia|openai|qwen|writer|zai)[./](?=[a-z])"
)


def short(model: str) -> str:
    """Return a model's plain name.

    >>> short("regional.anthropic.claude-haiku-4-5-20251001-v1:0"), short("gpt-5.4")
    ('claude-haiku-4-5', 'gpt-5.4')
    """
    return _VENDOR.sub("", plain(model))


def identity(book: PriceBook, provider: str, model: str) -> tuple[str, str]:
    """Return (provider, model) in the one spelling.

    >>> identity(PriceBook.load(), "bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0")
    ('aws', 'claude-haiku-4-5')
    """
    try:
        owner, found = book.resolve(model, provider or None)
    except PriceError:
        return _provider(book, provider), model
    return owner, short(found)


def _provider(book: PriceBook, name: str) -> str:
    try:
        return book.provider(name)
    except PriceError:
        return name


def identities(book: PriceBook, providers: pd.Series[str], models: pd.Series[str]) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the same for n rows; a provider may be null. Each distinct pair is looked up once."""
    frame = pd.DataFrame({"provider": providers.astype(object).fillna(""), "model": models.astype(object).fillna("")})
    codes = frame.groupby(["provider", "model"], sort=False).ngroup().to_numpy()
    distinct = frame.drop_duplicates().to_numpy(str)
    found = np.array([identity(book, p, m) for p, m in distinct], object).reshape(-1, 2)
    return found[codes, 0], found[codes, 1]


def months(timestamps: pd.Series[pd.Timestamp]) -> NDArray[np.datetime64]:
    """Return the UTC calendar month of every time."""
    return timestamps.dt.tz_localize(None).to_numpy().astype("datetime64[M]")


def groups(**keys: NDArray[Any]) -> Iterator[tuple[tuple[Any, ...], NDArray[np.int64]]]:
    """Yield every combination of ``keys`` that occurs, in order, with the positions of its rows.

    >>> [(key, at.tolist()) for key, at in groups(a=np.array(["y", "x", "y"]), b=np.array([1, 1, 1]))]
    [(('x', 1), [1]), (('y', 1), [0, 2])]
    """
    indices: dict[Any, NDArray[np.int64]] = pd.DataFrame(keys).groupby([*keys], sort=True).indices  # type: ignore[assignment]
    yield from indices.items()
