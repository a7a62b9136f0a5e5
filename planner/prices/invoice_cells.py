"""The cells of an invoice: amounts, counts, currencies and times, exactly or not at all.

In: the text of a cell. Out: integer pico-USD, a count, a UTC day; RefusedError with a reason for what is none. Knows nothing of columns.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache

from planner.units import PUSD_PER_USD

__all__ = ["RefusedError", "count", "day", "dollars", "period", "usd_only"]

#: Digits, or groups of three with commas between them, of which the first is no zero: 0,132 is none.
_WHOLE = r"(?:\d+|[1-9]\d{0,2}(?:,\d{3})+)"
_AMOUNT = re.compile(rf"^([-+−]?)\$?\s*({_WHOLE}?(?:\.\d*)?(?:[eE][-+]?\d{{1,2}})?)$", re.ASCII)
_COUNT = re.compile(rf"^\+?{_WHOLE}?(?:\.\d*)?(?:[eE][-+]?\d{{1,2}})?$", re.ASCII)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
#: No invoice line is larger [USD].
_MOST = Decimal(10) ** 12


class RefusedError(ValueError):
    """A row that cannot be used, with the reason."""


def dollars(text: str, what: str) -> int | None:
    """Return an amount [USD] as integer pUSD, rounded half to even; None for an empty cell.

    >>> dollars("0.000132", "cost"), dollars("-1,234.5", "cost"), dollars(" ", "cost")
    (132000000, -1234500000000000, None)
    """
    plain = text.strip()
    if not plain:
        return None
    found = _AMOUNT.match(plain)
    try:
        value = Decimal(found[2].replace(",", "")) if found and found[2] else None
    except InvalidOperation:
        value = None
    if found is None or value is None or value > _MOST:
        raise RefusedError(f"{what} is no amount")
    exact = _EXACT.quantize(_EXACT.multiply(value, Decimal(PUSD_PER_USD)), Decimal(1))
    return -int(exact) if found[1] in ("-", "−") else int(exact)


def count(text: str, what: str) -> float:
    """Return a number ≥ 0, NaN for an empty cell.

    >>> count("59200.0", "input_tokens"), count("1,200", "requests")
    (59200.0, 1200.0)
    """
    plain = text.strip()
    if not plain:
        return math.nan
    try:
        value = float(plain.replace(",", "")) if _COUNT.match(plain) else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e18:
        raise RefusedError(f"{what} is no count")
    return value


@lru_cache(4096)
def day(text: str, what: str) -> tuple[dt.date, bool]:
    """Return the UTC day of a time (ISO 8601, or seconds since 1970) and whether it is the day's first moment.

    >>> day("2026-11-03T00:00:00Z", "start"), day("1790553600", "start")
    ((datetime.date(2026, 11, 3), True), (datetime.date(2026, 9, 28), True))
    """
    plain = text.strip()
    try:
        if re.fullmatch(r"\d{9,11}(?:\.0*)?", plain):
            moment = dt.datetime.fromtimestamp(int(float(plain)), dt.UTC)
        else:
            moment = dt.datetime.fromisoformat(plain.removesuffix(" UTC"))
            moment = moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        raise RefusedError(f"{what} is no date") from None
    if not 2015 <= moment.year < 2100:
        raise RefusedError(f"{what} is not between 2015 and 2100")
    return moment.date(), moment.time() == dt.time()


def period(start: str, end: str, what: str = "start") -> tuple[dt.date, dt.date]:
    """Return the first UTC day of a charge and the first after it; without an end it is one day.

    >>> period("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    (datetime.date(2026, 11, 1), datetime.date(2026, 12, 1))
    """
    first, _ = day(start, what)
    after = first + dt.timedelta(days=1)
    if end.strip():
        last, sharp = day(end, "end")
        after = max(after, last if sharp else last + dt.timedelta(days=1))
    return first, after


def usd_only(currency: str) -> None:
    """Refuse another currency than USD; an empty cell is USD."""
    plain = currency.strip().upper()
    if plain not in ("", "USD", "US$", "$"):
        raise RefusedError("another currency than USD")
