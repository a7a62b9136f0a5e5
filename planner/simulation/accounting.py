"""Accounting: Calls × dated rates → integer pico-USD. Nowhere else is money computed from a plan.

In: calls, a price book and the date of the prices (or each request's own time). Out: the cost of every call, and which
could not be priced and why. Knows nothing of how the calls came about.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import PriceError
from planner.outcomes import Calls
from planner.prices import PriceBook, Priced, on_date
from planner.traffic.rows import Rows

__all__ = ["AS_LOGGED", "price_calls", "price_date"]

#: Price every request at its own arrival: what the audit does, and the only date at which the past is reproduced.
AS_LOGGED = "as-logged"


def price_date(book: PriceBook, at: dt.date | str | None) -> dt.date | str:
    """Return the stated price date of a plan: ``at``, by default the catalogue's own date; never now."""
    if isinstance(at, str) and at != AS_LOGGED:
        return dt.date.fromisoformat(at)
    return book.date if at is None else at


def price_calls(calls: Calls, rows: Rows, book: PriceBook, at: dt.date | str) -> Priced:
    """Price ``calls`` at one date, keeping each request's time of day, or at its own time when ``at`` is AS_LOGGED."""
    arrived = rows.timestamp[calls.row]
    when: Any = arrived if isinstance(at, str) else on_date(at, arrived)
    return book.price(calls.provider, calls.model, calls.tier, calls.tokens, when)


def refuse_unpriced(priced: Priced, new: NDArray[np.bool_]) -> None:
    """Raise PriceError when a call that a plan would add cannot be priced; logged calls without a price are only counted."""
    bad = new & (priced.reason != 0)
    if bad.any():
        raise PriceError(
            priced.reasons[int(priced.reason[bad][0])],
            fix="give its rate with PriceBook.load('prices.yaml') (--prices prices.yaml), or leave the model out of the candidates",
        )
