"""Looks: how much chance of a false alarm each of many looks may spend, kept in a small file between them.

In: the level of all looks together, how many are planned, and what this one looks at. Out: this look's own level, and the file with its
result added. The same look again spends nothing. Knows nothing of what is tested.

The levels of all looks add up to the whole, so that the promise holds however the looks depend on one another: they share a reference, and
may share days. How it is spread is Lan & DeMets' spending function of Pocock's type (*Biometrika* 70, 1983), α · ln(1 + (e − 1) · k / K)
after the k-th of K looks: drift may begin at any time, and O'Brien & Fleming's would leave nothing for the first looks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from planner import formats
from planner.errors import InputError
from planner.router.guard_files import put

__all__ = ["PLANNED", "Looks", "spent"]

#: A look a week for a year.
PLANNED = 52
_ANEW = "begin a new file with another --looks FILE"


def spent(look: int, planned: int, alpha: float) -> float:
    """Return what of ``alpha`` is spent after so many looks of those planned.

    >>> [round(spent(k, 4, 0.05), 4) for k in (0, 1, 2, 4)]
    [0.0, 0.0179, 0.031, 0.05]
    """
    return alpha * math.log1p((math.e - 1) * look / planned)


@dataclass(frozen=True)
class Looks:
    """The looks so far: each is {"key", "at", "from", "to", "requests", "alpha", "alarms"}; ``reference``: what all compare with."""

    reference: str
    alpha: float
    planned: int
    looks: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and self.planned >= 1):
            raise InputError(f"alpha {self.alpha:g}, {self.planned} looks", "a chance between 0 and 1, and at least one look")

    @classmethod
    def open(cls, file: Path, reference: Sequence[str], alpha: float, planned: int) -> Looks:
        """Read ``file``, or begin; InputError for one of another reference, level or number of looks."""
        new = cls(sha256("\x1f".join(reference).encode()).hexdigest()[:16], alpha, planned)
        if not file.exists():
            return new
        try:
            payload = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file}", "a file of looks that planner drift wrote", _ANEW) from error
        payload = formats.migrate("looks", payload if isinstance(payload, dict) else {}, str(file))
        try:
            found = cls(str(payload["reference"]), float(payload["alpha"]), int(payload["planned"]), tuple(map(dict, payload["looks"])))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file}", "a file of looks that planner drift wrote", _ANEW) from error
        if found.reference != new.reference:
            raise InputError(f"{file}, whose looks compare with another reference", "the same bundle and log before", _ANEW)
        if (found.alpha, found.planned) != (alpha, planned):
            raise InputError(
                f"{planned} looks at {alpha:g} together", f"{found.planned} at {found.alpha:g}, as {file} was begun", "keep to these"
            )
        return found

    def number(self, key: str) -> int:
        """Return which look ``key`` is, from 1; InputError when all that were planned are spent."""
        seen = [look["key"] for look in self.looks]
        if key in seen:
            return seen.index(key) + 1
        if len(seen) >= self.planned:
            raise InputError(f"look {len(seen) + 1} of {self.planned}", "no more than were planned", "export again, and begin new looks")
        return len(seen) + 1

    def level(self, number: int) -> float:
        """Return the level of the ``number``-th look."""
        return spent(number, self.planned, self.alpha) - spent(number - 1, self.planned, self.alpha)

    def with_look(self, number: int, look: Mapping[str, Any]) -> Looks:
        """Return the looks with this one added, or put in the place of the same one."""
        return replace(self, looks=(*self.looks[: number - 1], dict(look), *self.looks[number:]))

    def save(self, file: Path) -> None:
        """Write the file, for its owner alone, as a whole or not at all."""
        state = {**formats.header("looks"), "reference": self.reference, "alpha": self.alpha, "planned": self.planned}
        put(file, json.dumps({**state, "looks": list(self.looks)}, indent=1, sort_keys=True) + "\n")
