"""Aliases that put the unit into a signature, and the conversions between them.

Money is summed as integer pico-USD (10⁻¹² USD), so that sums are exact and do not depend on the order or the split.
One USD per million tokens is 10⁶ pico-USD per token. Knows nothing of tables.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = [
    "DAYS_PER_MONTH",
    "PUSD_PER_TOKEN_PER_USD_MTOK",
    "PUSD_PER_USD",
    "Ms",
    "Pusd",
    "Tokens",
    "Usd",
    "UsdPerMtok",
    "pusd_to_usd",
    "usd_to_pusd",
]

Usd: TypeAlias = float
Pusd: TypeAlias = int
UsdPerMtok: TypeAlias = float
Tokens: TypeAlias = int
Ms: TypeAlias = float

#: Of a mean month, in which all monthly amounts are.
DAYS_PER_MONTH = 365.25 / 12
PUSD_PER_USD = 1_000_000_000_000
PUSD_PER_TOKEN_PER_USD_MTOK = 1_000_000


def usd_to_pusd(usd: Usd) -> Pusd:
    """Round [USD] to integer [pUSD].

    >>> usd_to_pusd(0.000132)
    132000000
    """
    return round(usd * PUSD_PER_USD)


def pusd_to_usd(pusd: int) -> Usd:
    """Turn an integer sum of [pUSD] into [USD].

    >>> pusd_to_usd(132_000_000)
    0.000132
    """
    return int(pusd) / PUSD_PER_USD
