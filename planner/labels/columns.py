"""Which column of a table of graded answers is what, and graded values as numbers.

In: a table as it was on disk, with the names and patterns the user gave, if any. Out: the prompt, app and id columns, the
quality and cost column of each model, and qualities from 0 to 1. Says by error what it saw where it cannot tell. Knows
nothing of files or of Labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.schema import LABEL_ITEMS, LABELS

__all__ = ["cost_columns", "named", "one_of", "quality_columns", "quality_matrix", "quality_values", "split_scale"]

_QUALITIES = ("correct_*", "score_*", "quality_*", "acc_*", "grade_*", "*_correct", "*_score", "*_quality")
_COSTS = ("cost_*", "*|total_cost", "*_cost", "cost_usd_*")
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "": np.nan, "none": np.nan, "null": np.nan, "nan": np.nan}

_OURS = frozenset(LABEL_ITEMS.names) | frozenset(LABELS.names)
#: A column is a column of numbers, or of grades, when at least this share of its filled cells is.
_MOSTLY = 0.5
_EXPECTED = "true, false or a quality from 0 to {}"
_OUTSIDE = "most of its numbers are not from 0 to 1"


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


def quality_columns(frame: pd.DataFrame, pattern: str | None, taken: set[str]) -> tuple[dict[str, str], str, dict[str, str]]:
    """Return model → its quality column, the pattern by which it was found, and column → why it was left out.

    Without ``pattern`` the likeliest of the usual ones is taken; where none fits, and with ``"*"``, every column of numbers is
    a model's. A guess leaves out a column of numbers most of which are not from 0 to 1, with the reason.
    """
    if pattern is None:
        best = max(_QUALITIES, key=lambda p: len(_matching(frame, p, taken)))
        found = _matching(frame, best, taken)
        return (found, best, _beside(frame, taken | {*found.values()})) if found else _guessed(frame, taken)
    if pattern.count("*") != 1:
        raise InputError(f"quality={pattern!r}", "a pattern with one * where the model's name stands", "for example quality='correct_*'")
    found = _numeric(frame, taken) if pattern == "*" else _matching(frame, pattern, taken)
    if not found:
        raise InputError(f"no column like {pattern!r}; {_seen(frame)}", "a pattern that some columns match", _suggest(frame, taken))
    return found, pattern, {}


def _guessed(frame: pd.DataFrame, taken: set[str]) -> tuple[dict[str, str], str, dict[str, str]]:
    numeric = _numeric(frame, taken)
    fits = {c: float(_inside(frame[c]).mean()) for c in numeric}
    models = {c: c for c, share in fits.items() if share >= _MOSTLY}
    if not models and numeric:
        quality_matrix(frame, numeric, "*")  # says what is wrong with the first one
    if not models:
        raise InputError(_seen(frame), "one column of qualities from 0 to 1 per model", "name them: quality='correct_*'")
    return models, "*", {c: _OUTSIDE for c in numeric if c not in models}


def _beside(frame: pd.DataFrame, taken: set[str]) -> dict[str, str]:
    """Say of other columns that could be grades why they were not taken."""
    numeric = _numeric(frame, taken)
    return {c: "its name has not the pattern of the others" for c in numeric if _inside(frame[c]).mean() >= _MOSTLY}


def _numeric(frame: pd.DataFrame, taken: set[str]) -> dict[str, str]:
    """Return the columns that hold mostly numbers and are neither ours by name nor costs."""
    names = [str(c) for c in frame.columns if c not in taken and c not in _OURS and "|" not in str(c)]
    names = [n for n in names if not any(fnmatch(n.lower(), p) for p in _COSTS)]
    return {n: n for n in names if len(filled := _filled(frame[n])) and np.mean([not np.isnan(v) for v in filled]) >= _MOSTLY}


def _inside(column: pd.Series) -> NDArray[np.bool_]:
    values = np.array(_filled(column))
    return (values >= 0) & (values <= 1)


def _filled(column: pd.Series) -> list[float]:
    """Return the numbers in the cells that are not empty, NaN for what is none."""
    cells = (_cell(v) for v in column.tolist())
    return [np.nan if c is None else c for c in cells if c is None or not np.isnan(c)]


def _seen(frame: pd.DataFrame) -> str:
    return f"columns {', '.join(map(str, frame.columns[:20]))}"


def cost_columns(frame: pd.DataFrame, pattern: str | None, models: Sequence[str]) -> dict[str, str]:
    """Return model → its cost column [USD]; with no ``pattern`` those of the usual names that are there."""
    if pattern is None:
        names = {m: [p.replace("*", m) for p in _COSTS] for m in models}
        return {m: next(n for n in ns if n in frame.columns) for m, ns in names.items() if any(n in frame.columns for n in ns)}
    if pattern.count("*") != 1:
        raise InputError(f"cost={pattern!r}", "a pattern with one * where the model's name stands", "for example cost='cost_*'")
    return {m: named(frame, pattern.replace("*", m), "cost") for m in models}


def quality_matrix(frame: pd.DataFrame, found: Mapping[str, str], pattern: str, scale: float = 1.0) -> dict[str, NDArray[np.float64]]:
    """Return model → qualities from 0 to 1, NaN where absent; InputError names the first cell that is neither."""
    raw = {model: _numbers(frame[column]) for model, column in found.items()}
    highest = max((float(np.nanmax(v)) for v in raw.values() if not np.isnan(v).all()), default=np.nan)
    for model, values in raw.items():
        bad = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= scale))))
        if len(bad):
            column = frame[found[model]]
            raise InputError(f"{column.name}: {_shown(column, bad[0])}", _EXPECTED.format(f"{scale:g}"), _rescale(raw, highest, pattern))
    return {model: values / scale for model, values in raw.items()}


def quality_values(column: pd.Series) -> NDArray[np.float64]:
    """Return qualities from 0 to 1, NaN where absent; InputError for a value that is neither.

    >>> quality_values(pd.Series(["True", "0.5", None, ""])).tolist()
    [1.0, 0.5, nan, nan]
    """
    values = _numbers(column)
    bad = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= 1))))
    if len(bad):
        raise InputError(f"{column.name}: {_shown(column, bad[0])}", _EXPECTED.format(1), "correct it, or bring the column to 0 to 1 first")
    return values


def _rescale(raw: Mapping[str, NDArray[np.float64]], highest: float, pattern: str) -> str:
    lowest = min(float(np.nanmin(v)) for v in raw.values() if not np.isnan(v).all())
    if lowest < 0 or highest > 100:
        return "correct it, or bring every grade to 0 to 1 first; if it is no grade, name the grades' columns with quality="
    top = next(t for t in (5, 10, 100) if highest <= t)
    whole = f"{pattern}/{top}"
    return f"correct it, or, if grades go from 0 to {top}, divide: quality={whole!r} (in the shell --quality {whole!r})"


def _shown(column: pd.Series, at: Any) -> str:
    value = column.tolist()[at]
    return f"{value.item() if isinstance(value, np.generic) else value!r} in row {at + 1}"


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    """Return the cells as numbers, NaN where empty; InputError for the first that is none."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan), np.float64)
    cells = [_cell(v) for v in column.tolist()]
    if None in cells:
        at = cells.index(None)
        raise InputError(
            f"{column.name}: {_shown(column, at)}", _EXPECTED.format(1), "correct it, or leave the cell empty where nothing was graded"
        )
    return np.array(cells, np.float64)


def _cell(value: Any) -> float | None:
    """Return a cell as a number, NaN where it is empty, None where it is no number."""
    if value is None or value is pd.NA:
        return np.nan
    word = str(value).strip().lower()
    try:
        return _WORDS[word] if word in _WORDS else float(value)
    except (TypeError, ValueError):
        return None


def _matching(frame: pd.DataFrame, pattern: str, taken: set[str]) -> dict[str, str]:
    head, tail = (re.escape(p) for p in pattern.split("*"))
    matches = ((re.fullmatch(f"{head}(.+){tail}", str(c), re.DOTALL), str(c)) for c in frame.columns if c not in taken)
    return {m[1]: c for m, c in matches if m}


def _suggest(frame: pd.DataFrame, taken: set[str]) -> str:
    fits = [p for p in _QUALITIES if _matching(frame, p, taken)]
    return f"try quality={fits[0]!r}" if fits else "put * where the model's name stands"
