"""Which column of a table of graded answers is what, and graded values as numbers.

In: a table as it was on disk, with the names and patterns the user gave, if any. Out: the prompt, app and id columns, the
quality and cost column of each model, and qualities from 0 to 1. Says by error what it saw where it cannot tell. Knows
nothing of files or of Labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean

__all__ = ["cost_columns", "named", "one_of", "quality_columns", "quality_values", "split_scale"]

_QUALITIES = ("correct_*", "score_*", "quality_*", "acc_*", "grade_*", "*_correct", "*_score", "*_quality")
_COSTS = ("cost_*", "*|total_cost", "*_cost", "cost_usd_*")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "": np.nan, "none": np.nan, "null": np.nan, "nan": np.nan}


def named(frame: pd.DataFrame, name: str, what: str) -> str:
    """Return ``name`` when it is a column; InputError with the columns seen otherwise."""
    if name not in frame.columns:
        seen = ", ".join(map(str, frame.columns[:20]))
        raise InputError(
            f"no {what} column {name!r}; columns {seen}", "one of these", did_you_mean(name, map(str, frame.columns)) or f"pass {what}="
        )
    return name


def one_of(frame: pd.DataFrame, candidates: Sequence[str]) -> str | None:
    """Return the column whose name, case aside, comes first among ``candidates``; None when there is none."""
    by_name = {str(c).lower(): str(c) for c in reversed(list(frame.columns))}
    return next((by_name[c] for c in candidates if c in by_name), None)


def split_scale(pattern: str) -> tuple[str, float]:
    """Split ``"score_*/100"`` into the pattern and what values are divided by.

    >>> split_scale("score_*/100"), split_scale("correct_*")
    (('score_*', 100.0), ('correct_*', 1.0))
    """
    head, slash, tail = pattern.rpartition("/")
    return (head, float(tail)) if slash and re.fullmatch(r"\d+(\.\d+)?", tail) and float(tail) > 0 else (pattern, 1.0)


def quality_columns(frame: pd.DataFrame, pattern: str | None, taken: set[str]) -> dict[str, str]:
    """Return model → its quality column, by ``pattern`` or by the likeliest of the usual patterns."""
    if pattern is not None:
        if pattern.count("*") != 1:
            raise InputError(
                f"quality={pattern!r}", "a pattern with one * where the model's name stands", "for example quality='correct_*'"
            )
        found = _matching(frame, pattern, taken)
        if not found:
            seen = ", ".join(map(str, frame.columns[:20]))
            raise InputError(f"no column like {pattern!r}; columns {seen}", "a pattern that some columns match", _suggest(frame, taken))
        return found
    guesses = [_matching(frame, p, taken) for p in _QUALITIES]
    best = max(guesses, key=len)
    best = best or {str(c): str(c) for c in frame.columns if c not in taken and "|" not in str(c) and _graded(frame[c])}
    if not best:
        seen = ", ".join(map(str, frame.columns[:20]))
        raise InputError(f"columns {seen}", "one column of qualities from 0 to 1 per model", "name them: quality='correct_*'")
    return best


def cost_columns(frame: pd.DataFrame, pattern: str | None, models: Sequence[str]) -> dict[str, str]:
    """Return model → its cost column [USD]; with no ``pattern`` those of the usual names that are there."""
    if pattern is None:
        names = {m: [p.replace("*", m) for p in _COSTS] for m in models}
        return {m: next(n for n in ns if n in frame.columns) for m, ns in names.items() if any(n in frame.columns for n in ns)}
    if pattern.count("*") != 1:
        raise InputError(f"cost={pattern!r}", "a pattern with one * where the model's name stands", "for example cost='cost_*'")
    return {m: named(frame, pattern.replace("*", m), "cost") for m in models}


def quality_values(column: pd.Series, scale: float = 1.0) -> NDArray[np.float64]:
    """Return qualities from 0 to 1, NaN where absent; InputError for a value that is neither.

    >>> quality_values(pd.Series(["True", "0.5", None, ""])).tolist()
    [1.0, 0.5, nan, nan]
    """
    values = _numbers(column) / scale
    bad = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= 1))))
    if len(bad):
        highest = np.nanmax(values)
        top = _top(highest)
        hint = f"if this is a scale from 0 to {top}, divide: quality='{column.name}/{top}' with * for the model's name"
        raise InputError(
            f"{column.name}: {column.tolist()[bad[0]]!r} in row {bad[0] + 1}",
            "true, false or a quality from 0 to 1",
            hint if np.nanmin(values) >= 0 and highest <= 100 else "rescale it first",
        )
    return values


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan), np.float64)
    found = np.empty(len(column))
    for i, value in enumerate(column.tolist()):
        try:
            found[i] = np.nan if value is None else _WORDS[word] if (word := str(value).strip().lower()) in _WORDS else float(value)
        except (TypeError, ValueError):
            raise InputError(f"{column.name}: {value!r} in row {i + 1}", "true, false or a quality from 0 to 1") from None
    return found


def _top(highest: float) -> int:
    return next(t for t in (5, 10, 100, 10**12) if highest <= t)


def _matching(frame: pd.DataFrame, pattern: str, taken: set[str]) -> dict[str, str]:
    head, tail = (re.escape(p) for p in pattern.split("*"))
    matches = ((re.fullmatch(f"{head}(.+){tail}", str(c), re.DOTALL), str(c)) for c in frame.columns if c not in taken)
    return {m[1]: c for m, c in matches if m}


def _graded(column: pd.Series) -> bool:
    try:
        return bool(np.isfinite(quality_values(column)).any())
    except InputError:
        return False


def _suggest(frame: pd.DataFrame, taken: set[str]) -> str:
    fits = [p for p in _QUALITIES if _matching(frame, p, taken)]
    return f"try quality={fits[0]!r}" if fits else "put * where the model's name stands"
