"""The daily budget of answers in the background, held by all processes together: what a call may cost is taken before it is made.

In: rates, the most that a call may cost, afterwards what it did cost. Out: yes or no. A file a UTC day, ``YYYY-MM-DD.json``, holds per app
the pUSD that are spent or held, and is changed under a lock. A process that dies leaves what it held as spent, and a file that cannot
be read is a budget that is spent, so the sum is never above the budget. Knows nothing of requests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from planner.router.guard_files import locked, put
from planner.router.router import Router
from planner.units import PUSD_PER_TOKEN_PER_USD_MTOK, PUSD_PER_USD

__all__ = ["Budget", "Rates"]

#: [s] for which the lock is waited for.
_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What one model costs.

    Parameters
    ----------
    input_usd_per_mtok, output_usd_per_mtok: [USD per million tokens]. usd_per_request: [USD].
    above: (input tokens, input rate, output rate), rising: a request with more input has these rates for all of its tokens.
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    usd_per_request: float = 0.0
    above: tuple[tuple[int, float, float], ...] = ()

    @classmethod
    def of(cls, model: str, manifest: Mapping[str, Any], router: Router) -> Rates | None:
        """Return the rates of ``model`` that a bundle keeps; None where it does not say what the tokens cost in dollars.

        Those of the price book, where it was exported with a log (``evaluation.prediction.prices.rates``), else those the router
        decides with, unless they are a ranking or fitted to whole answers.
        """
        listed = _dig(manifest, "evaluation", "prediction", "prices", "rates", model)
        if listed is not None:
            usd, above = listed["usd_per_mtok"], listed.get("above") or ()
            dearer = tuple(sorted((int(tokens), *_sides({**usd, **rates})) for tokens, rates in above))
            return cls(*_sides(usd), float(listed.get("usd_per_request") or 0.0), dearer)
        costs = router.costs
        if model not in router.candidates or costs.basis.startswith(("stated", "fitted")):
            return None
        at = router.candidates.index(model)
        return cls(float(costs.input_usd_per_mtok[at]), float(costs.output_usd_per_mtok[at]), float(costs.usd_per_request[at]))

    def pusd(self, input_tokens: int, output_tokens: int) -> int:
        """Return the price [pUSD], rounded up.

        >>> Rates(0.25, 2.0).pusd(1_000, 100)
        450000000
        >>> Rates(1.0, 2.0, above=((200_000, 2.0, 3.0),)).pusd(200_001, 1)
        400005000000
        """
        rates = (self.input_usd_per_mtok, self.output_usd_per_mtok)
        for tokens, *dearer in self.above:
            rates = (dearer[0], dearer[1]) if input_tokens > tokens else rates
        usd_per_m = input_tokens * _exact(rates[0]) + output_tokens * _exact(rates[1])
        return math.ceil(usd_per_m * PUSD_PER_TOKEN_PER_USD_MTOK + _exact(self.usd_per_request) * PUSD_PER_USD)


def _sides(usd: Mapping[str, float]) -> tuple[float, float]:
    """Return the rates of input and of output, which here includes reasoning."""
    return float(usd["input_tokens"]), max(float(usd["output_tokens"]), float(usd.get("reasoning_tokens", 0.0)))


def _exact(usd: float) -> Decimal:
    """Return a rate as it is written: 0.2 is two tenths."""
    return Decimal(repr(usd))


def _dig(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


class Budget:
    """The budgets of all apps, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, app: str, pusd: int, usd_per_day: float) -> str | None:
        """Hold ``pusd`` of the day's budget of ``app``; return the day, or None where so much is not left. OSError, ValueError: neither."""
        day = datetime.now(UTC).date().isoformat()
        return day if self._add(day, app, pusd, math.floor(usd_per_day * PUSD_PER_USD)) else None

    def give(self, day: str, app: str, pusd: int) -> None:
        """Give back ``pusd`` of what was held on ``day``; below 0 where the call was dearer."""
        self._add(day, app, -pusd, None)

    def _add(self, day: str, app: str, pusd: int, most: int | None) -> bool:
        with locked(self.folder / ".lock", _WAIT_S):
            file = self.folder / f"{day}.json"
            try:
                spent = json.loads(file.read_bytes())["pusd"]
            except FileNotFoundError:
                spent = {}
            now = spent.get(app, 0)
            if type(now) is not int or now < 0:
                raise ValueError("no sum")
            if most is not None and now + pusd > most:
                return False
            put(file, json.dumps({"pusd": {**spent, app: max(now + pusd, 0)}}))
            return True
