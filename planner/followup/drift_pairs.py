"""Which columns of two periods stand beside each other: of two logs, or of a log and the profile in a bundle.

In: two Periods; or one, and the counts that an export wrote of the log before it. Out: measure → Pair. A profile has features, scores,
decisions, models, apps and versions by groups of users, no days, and nothing of answers. Knows nothing of tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from planner.followup.drift_period import Period, family
from planner.followup.drift_tally import (
    Cells,
    Column,
    Numbers,
    Pair,
    Parts,
    Tally,
    Words,
    among_kin,
    beside,
    by_level,
    by_part,
    by_word,
    frequent,
    levels,
    mass,
    reached,
)
from planner.followup.drift_words import FEATURES, MEASURES, level

__all__ = ["with_log", "with_profile"]

#: Kind of counts in a profile → the measure it belongs to, and the name of the column there.
_KINDS = {"decisions": ("router decisions", "decisions"), "reasons": ("abstentions", "reasons"), "models": ("model mix", "models")}
_KINDS |= {"apps": ("app mix", "apps"), "prompt_versions": ("prompt templates", "prompt_versions")}


def with_log(before: Period, now: Period) -> dict[str, Pair]:
    """Return every measure that both periods have."""
    found = {}
    for measure in MEASURES:
        own, other = before.columns[measure], now.columns[measure]
        pairs = [_pair(before.cells, own[name], now.cells, other[name]) for name in own]
        found[measure] = beside(pairs)
    return {measure: pair for measure, pair in found.items() if pair.said}


def _pair(before: Cells, was: Column, now: Cells, column: Column) -> Pair:
    if isinstance(was, Numbers) and isinstance(column, Numbers):
        edges = levels(was.values)
        return Pair(by_level(before, was, edges), by_level(now, column, edges), tuple(column.said(float(e)) for e in edges))
    if isinstance(was, Parts) and isinstance(column, Parts):
        return Pair(by_part(before, was), by_part(now, column), (column.said,))
    if isinstance(was, Words) and isinstance(column, Words):
        names = frequent([mass(before, was), mass(now, column)], column.kin)
        return _words(by_word(before, was, names), by_word(now, column, names), column, names)
    raise TypeError(f"{type(was).__name__} beside {type(column).__name__}")


def _words(before: Tally, now: Tally, column: Words, names: tuple[str, ...]) -> Pair:
    said = tuple(column.said(name) for name in names)
    if column.kin is None:
        return Pair(before, now, (*said, column.said("(others)")))
    return Pair(among_kin(before, names, column.kin), among_kin(now, names, column.kin), said)


def with_profile(profile: Mapping[str, Any], days: float, now: Period) -> dict[str, Pair]:
    """Return every measure that ``profile``, which describes so many ``days``, has; ``now`` has its groups."""
    covers = max(days, 1.0)
    pairs: dict[str, list[Pair]] = {}
    for kind, said in (("features", level), ("scores", None)):
        for name, histogram in profile[kind].items():
            measure = FEATURES[name][0] if said else "router scores"
            column = now.columns[measure].get(name)
            if isinstance(column, Numbers) and histogram["edges"]:
                edges = np.array(histogram["edges"], float)
                was = Tally(*reached(np.array(histogram["counts"], float)[None]), _unknown(), covers)
                words = partial(said, name) if said else column.said
                pairs.setdefault(measure, []).append(Pair(was, by_level(now.cells, column, edges), tuple(words(float(e)) for e in edges)))
    for kind, (measure, name) in _KINDS.items():
        column = now.columns[measure][name]
        if isinstance(column, Words):
            counts = _families(profile[kind]) if kind == "models" else profile[kind]
            pairs.setdefault(measure, []).append(_counted(counts, covers, now.cells, column))
    versions = now.columns["model versions"]["models"]
    if isinstance(versions, Words):
        pairs["model versions"] = [_counted(profile["models"], covers, now.cells, versions)]
    found = {measure: beside(pairs[measure]) for measure in MEASURES if measure in pairs}
    return {measure: pair for measure, pair in found.items() if pair.said}


def _families(counts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model, own in counts.items():
        found[family(model)] = np.add(found.get(family(model), 0), own)
    return found


def _counted(counts: Mapping[str, Any], covers: float, cells: Cells, column: Words) -> Pair:
    names = frequent([{w: float(np.sum(c)) for w, c in counts.items()}, mass(cells, column)], column.kin)
    rest = [np.array(c, float) for w, c in counts.items() if w not in names]
    blank = np.zeros(cells.groups)
    part = np.stack([*(np.array(counts.get(w, blank), float) for w in names), np.sum([blank, *rest], axis=0)], -1)[None]
    before = Tally(part, np.broadcast_to(part.sum(-1, keepdims=True), part.shape), _unknown(), covers)
    return _words(before, by_word(cells, column, names), column, names)


def _unknown() -> Any:
    return np.array(["NaT"], "datetime64[D]")
