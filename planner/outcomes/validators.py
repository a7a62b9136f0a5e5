"""How well validators tell right answers from wrong ones: what a cascade's gate is drawn from.

In: labels with answers, or with what validators said of them, on rows that chose nothing. Out: for one model and a set of
validators how often a right and how often a wrong answer passes, with intervals. A validator reads the question and the
answer, never the label. Knows nothing of plans or prices.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.labels import Labels
from planner.stats import BUCKETS, Estimate, buckets, jackknife
from planner.text.checks import grounding, json_problem
from planner.text.messages import conversation

__all__ = ["VALIDATORS", "Gate", "gate"]

#: Sums behind a gate, per hash bucket: weight of right answers, of those that passed, of wrong ones, of those that passed [10⁻⁶].
_SUMS = ("right", "right_passed", "wrong", "wrong_passed")
_MICRO = 1_000_000
#: An answer is grounded when so much of what it states, and could be looked up, stands in what was sent.
_GROUNDED = 0.5
_ENDED_WELL = ("stop", "tool_calls", "function_call", "end_turn", "stop_sequence")


def _json(row: Any) -> bool | None:
    """An answer that must be JSON is JSON."""
    if row.response_format == "text" or not isinstance(row.response, str):
        return None
    return json_problem(row.response) is None


def _whole(row: Any) -> bool | None:
    """There is an answer, and no limit or filter ended it."""
    if isinstance(row.response, str) and not row.response.strip():
        return False
    return row.finish_reason in _ENDED_WELL if isinstance(row.finish_reason, str) else None


def _grounded(row: Any) -> bool | None:
    """What the answer states, as far as it could be looked up, stands in what was sent."""
    if not isinstance(row.response, str) or not isinstance(row.messages, str):
        return None
    share = grounding(row.response, conversation(row.messages).full).share
    return None if np.isnan(share) else bool(share >= _GROUNDED)


#: name → what it says of a labelled answer: passed, or None where it has nothing to say. The label is not among what it reads.
VALIDATORS: Mapping[str, Callable[[Any], bool | None]] = {"json_schema": _json, "constraints": _whole, "grounding": _grounded}


@dataclass(frozen=True, eq=False)
class Gate:
    """How one model's answers pass ``validators`` (all of them must pass; one with nothing to say passes).

    ``sums`` int64 (buckets, 4): weights of right, right and passed, wrong, wrong and passed [10⁻⁶]; an answer of quality q counts
    as right with weight q and as wrong with 1 − q. ``n`` labelled answers are behind it.
    """

    model: str
    validators: tuple[str, ...]
    n: int
    sums: NDArray[np.int64] = field(repr=False)

    @property
    def passes_right(self) -> Estimate:
        """P(pass | right)."""
        return self._rate(0)

    @property
    def passes_wrong(self) -> Estimate:
        """P(pass | wrong)."""
        return self._rate(2)

    def accepted(self, quality: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chance that an answer of each predicted ``quality`` passes.

        >>> g = Gate("m", ("json_schema",), 4, np.array([[2_000_000, 2_000_000, 2_000_000, 1_000_000]]))
        >>> g.accepted(np.array([1.0, 0.5, 0.0])).tolist(), g.quality(np.array([0.5])).round(3).tolist()
        ([1.0, 0.75, 0.5], [0.667])
        """
        right, wrong = self._rates
        return np.asarray(quality * right + (1 - quality) * wrong)

    def quality(self, quality: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected quality of an answer that has passed (Bayes), given its predicted ``quality``."""
        chance = self.accepted(quality)
        return np.asarray(quality * self._rates[0] / np.where(chance > 0, chance, 1.0))

    def refused(self, quality: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected quality of an answer that has not passed, given its predicted ``quality``."""
        chance = 1 - self.accepted(quality)
        return np.asarray(quality * (1 - self._rates[0]) / np.where(chance > 0, chance, 1.0))

    @property
    def _rates(self) -> tuple[float, float]:
        total = self.sums.sum(axis=0)
        return tuple(float(total[i + 1] / total[i]) if total[i] else 1.0 for i in (0, 2))  # type: ignore[return-value]

    def _rate(self, at: int) -> Estimate:
        total = self.sums.sum(axis=0)
        if not total[at]:
            return Estimate(float("nan"), evidence="assumed", source="no such labelled answer; all are taken to pass")
        found = jackknife(self.sums, lambda s: np.asarray(s[:, at + 1] / np.maximum(s[:, at], 1)), self.sums[:, at])
        low, high = (None if np.isnan(x) else min(max(float(x), 0.0), 1.0) for x in (found.low, found.high))
        source = f"{', '.join(self.validators)} on {self.n} held-out answers"
        return Estimate(float(found.value), low, high, "estimated", n=self.n, source=source)


def gate(labels: Labels, model: str, validators: Sequence[str], requests: Iterable[str] | None = None) -> Gate:
    """Return the gate of ``model``'s answers, from the labelled ``requests`` (ids; all by default) that chose nothing.

    What the labels' own column ``validators`` says of a check is taken; otherwise the check reads the stored answer.

    Raises
    ------
    InputError: an unknown validator, or no labelled answer of the model that any of them can read.
    """
    rows = labels.outcomes[(labels.outcomes["model"] == model) & (labels.outcomes["prompt_variant"] == "")]
    rows = rows if requests is None else rows[rows["request_id"].isin(set(requests))]
    rows = rows.merge(labels.items[["request_id", "user", "session_id", "messages", "response_format", "weight"]], on="request_id")
    stored = [json.loads(v) if isinstance(v, str) else {} for v in rows["validators"]]
    named = set(VALIDATORS).union(*stored) if stored else set(VALIDATORS)
    unknown = [v for v in validators if v not in named]
    if unknown:
        raise InputError(f"validator {unknown[0]!r}", f"one of {', '.join(sorted(named))}")
    passed = [_passed(row, own, validators) for row, own in zip(rows.itertuples(index=False), stored, strict=True)]
    known = np.array([p is not None for p in passed], bool)
    if not known.any():
        raise InputError(
            f"no labelled answer of {model} that {', '.join(validators)} could read",
            "answers in the labels' column response, or what the validators said in the column validators",
            "label with planner labels run, which keeps the answers",
        )
    rows, accepted = rows[known], np.array([p for p in passed if p is not None], bool)
    return Gate(model, tuple(validators), len(rows), _sums(rows, accepted))


def _passed(row: Any, stored: Mapping[str, Any], validators: Sequence[str]) -> bool | None:
    """Return whether all validators that have something to say let this answer pass; None where none of them has."""
    said = [v for v in (_said(row, stored, name) for name in validators) if v is not None]
    return all(said) if said else None


def _said(row: Any, stored: Mapping[str, Any], name: str) -> bool | None:
    if isinstance(stored.get(name), bool):
        return bool(stored[name])
    return VALIDATORS[name](row) if name in VALIDATORS else None


def _sums(rows: pd.DataFrame, accepted: NDArray[np.bool_]) -> NDArray[np.int64]:
    quality, weight = rows["quality"].to_numpy(float), rows["weight"].to_numpy(float)
    columns = np.column_stack([quality, quality * accepted, 1 - quality, (1 - quality) * accepted])
    out = np.zeros((BUCKETS, len(_SUMS)), np.int64)
    unit = rows["user"].fillna(rows["session_id"]).fillna(rows["request_id"])
    np.add.at(out, buckets(unit), np.rint(columns * (weight * _MICRO)[:, None]).astype(np.int64))
    return out
