"""Under way: what one part of a log hands to the next, in memory and on disk.

In: the event phase's Carry, and the answers that may still be served. Out: the same, from an ``.npz`` without objects. Knows nothing
of how parts are played.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.simulation.events.carry import Carry
from planner.simulation.told import Told

__all__ = ["UnderWay"]


@dataclass(frozen=True, eq=False)
class UnderWay:
    """``carry``, and the answers of the requests long done that ``carry.source`` names, in its order."""

    carry: Carry
    answers: Told

    @classmethod
    def of(cls, carry: Carry, row: NDArray[np.int64], answers: Told, before: UnderWay | None) -> UnderWay:
        """Return what is handed on; ``answers`` are those of the part's requests, named ``row``, and behind them those ``before``."""
        names = np.concatenate([row, before.carry.source]) if before else row
        order = np.argsort(names, kind="stable")
        return cls(carry, answers.take(order[np.searchsorted(names, carry.source, sorter=order)]))

    def save(self, path: Path) -> None:
        """Write to one ``.npz`` without objects."""
        arrays: dict[str, Any] = {}
        words: dict[str, Any] = {}
        for kind, value in (("carry", self.carry), ("answers", self.answers)):
            for name, found in vars(value).items():
                (words if isinstance(found, tuple) else arrays)[f"{kind}.{name}"] = found
        with path.open("wb") as file:
            np.savez(file, words=np.frombuffer(json.dumps(words).encode(), np.uint8), **arrays)

    @classmethod
    def open(cls, path: Path) -> UnderWay:
        """Read what ``save`` wrote."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found: dict[str, Any] = {name: stored[name] for name in stored.files if name != "words"}
            found |= {name: tuple(values) for name, values in json.loads(stored["words"].tobytes()).items()}
        carry = Carry(**{f.name: found[f"carry.{f.name}"] for f in fields(Carry)})
        return cls(carry, Told(**{f.name: found[f"answers.{f.name}"] for f in fields(Told)}))
