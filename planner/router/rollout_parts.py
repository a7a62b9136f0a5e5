"""Parts of a rollout: one guardrail, the answers in the background, and how their fields are checked.

In: JSON values. Out: frozen values, or InputError for the first field that is wrong. Knows nothing of apps or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.errors import InputError

__all__ = ["Guardrail", "Mirroring", "named", "number", "share", "shown"]


def share(name: str, value: Any) -> None:
    """Refuse what is no share."""
    if not number(value) or not 0 <= value <= 1:
        raise InputError(f"{name} {shown(value)}", "a number from 0 to 1")


def number(value: Any) -> bool:
    """Say whether a JSON value is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def named(value: Any) -> bool:
    """Say whether it is a word, not an empty one."""
    return isinstance(value, str) and bool(value)


def shown(value: Any) -> str:
    """Return the beginning of a value, for a message."""
    return f"{value!r:.60}"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One limit of an app: alarm when the routed rate is above that of what was left alone, or the log's, by more than ``margin``.

    Parameters
    ----------
    margin, baseline: rates from 0 to 1; a baseline of None is not known, and only live answers that were left alone are compared with.
    limit_ms: [ms] from which an answer is slow; of the guardrail ``slow`` alone.
    design_effect: how many times as much the number of bad answers varies as if each were bad by itself, 1 or more, since those of a
        session share an arm and often a fate: so many answers count as one. None, as in a file from before it was measured, means 1.
    """

    margin: float
    baseline: float | None = None
    limit_ms: float | None = None
    design_effect: float | None = None

    def __post_init__(self) -> None:
        share("margin", self.margin)
        share("baseline", 0 if self.baseline is None else self.baseline)
        if self.limit_ms is not None and not (number(self.limit_ms) and self.limit_ms > 0):
            raise InputError(f"limit_ms {shown(self.limit_ms)}", "milliseconds above 0")
        if self.design_effect is not None and not (number(self.design_effect) and 1 <= self.design_effect < 1e9):
            raise InputError(f"design_effect {shown(self.design_effect)}", "a number from 1")

    @property
    def effect(self) -> float:
        """Answers that count as one."""
        return 1.0 if self.design_effect is None else self.design_effect


@dataclass(frozen=True, slots=True)
class Mirroring:
    """Answers in the background: of which ``share`` of the units, for at most ``usd_per_day``, by ``model`` (None: the decided one)."""

    share: float
    usd_per_day: float
    model: str | None = None

    def __post_init__(self) -> None:
        share("share", self.share)
        if not number(self.usd_per_day) or not 0 <= self.usd_per_day < 1e9:
            raise InputError(f"usd_per_day {shown(self.usd_per_day)}", "US dollars, 0 or more")
        if self.model is not None and not named(self.model):
            raise InputError(f"model {shown(self.model)}", "a model group, or null for the one decided")
