"""Space: what an optimiser may choose among: every lever of a plan off, or on at one of some settings; locked levers stay as they are.

In: a plan, the settings to vary, and the levers to keep. Out: for any choice its plan. All settings are made, and so checked, before
anything runs. Knows nothing of how a choice is made or judged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from math import prod
from typing import Any

from planner.comparison.waterfall import lever_names
from planner.errors import InputError, did_you_mean
from planner.policies import Lever, Plan, Route

__all__ = ["Space"]


@dataclass(frozen=True, eq=False)
class Space:
    """``options``: for each place of a plan the levers that may stand there, None for none; ``names`` of the places."""

    names: tuple[str, ...]
    options: tuple[tuple[Lever | None, ...], ...]

    @classmethod
    def of(cls, plan: Plan, vary: Mapping[str, Sequence[Any]] | None = None, locked: Collection[str] = ()) -> Space:
        """Return the space around ``plan``.

        Parameters
        ----------
        vary: ``lever.field`` → values, for example ``{"hedge.after_ms": (800, 2000), "route.tau": (0, 5)}``; a lever with several apart
            by apps is varied in each. All combinations of a lever's fields are options.
        locked: names of levers (``waterfall.lever_names``) or their keys; they are always on, as the plan has them.

        >>> from planner.policies import Hedge, Plan, Timeout
        >>> Space.of(Plan((Hedge(800), Timeout(9_000))), {"hedge.after_ms": (800, 2_000)}, ["timeout"]).sizes
        (3, 1)
        """
        names = lever_names(plan)
        fixed, settings = _places(locked, plan, names), _settings(vary or {}, plan)
        options: list[tuple[Lever | None, ...]] = []
        for i, lever in enumerate(plan.levers):
            varied = settings.get(lever.key, {})
            if i in fixed and varied:
                raise InputError(f"{names[i]} locked and varied", "one of the two")
            options.append((lever,) if i in fixed else (None, *_variants(lever, varied)))
        return cls(tuple(names), tuple(options))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Options of each place."""
        return tuple(len(o) for o in self.options)

    def __len__(self) -> int:
        return prod(self.sizes)

    def plan(self, picks: Sequence[int], name: str = "optimised") -> Plan:
        """Return the plan of a choice, one option a place; InputError when its levers contradict each other."""
        levers = [options[pick] for options, pick in zip(self.options, picks, strict=True)]
        return Plan(tuple(lever for lever in levers if lever is not None), name)

    def words(self, picks: Sequence[int]) -> dict[str, str]:
        """Say of each place what the choice puts there."""
        chosen = (options[pick] for options, pick in zip(self.options, picks, strict=True))
        return {name: "off" if lever is None else lever.words() for name, lever in zip(self.names, chosen, strict=True)}


def _places(locked: Collection[str], plan: Plan, names: Sequence[str]) -> set[int]:
    known = [*names, *(lever.key for lever in plan.levers)]
    for name in locked:
        if name not in known:
            raise InputError(f"locked lever {name!r}", f"one of {', '.join(dict.fromkeys(known))}", did_you_mean(name, known))
    return {i for i, lever in enumerate(plan.levers) if names[i] in locked or lever.key in locked}


def _settings(vary: Mapping[str, Sequence[Any]], plan: Plan) -> dict[str, dict[str, Sequence[Any]]]:
    """Return the values of each lever's fields by its key; InputError for what the plan or the lever does not have."""
    found: dict[str, dict[str, Sequence[Any]]] = {}
    for path, values in vary.items():
        key, _, name = path.partition(".")
        levers = plan.of_key(key)
        if not levers:
            keys = list(dict.fromkeys(lever.key for lever in plan.levers))
            raise InputError(f"{path!r} to vary", f"LEVER.FIELD of a lever of the plan: {', '.join(keys)}", did_you_mean(key, keys))
        known = _fields(levers[0])
        if name not in known:
            raise InputError(f"{path!r} to vary", f"{key} with one of {', '.join(known)}", did_you_mean(name, known))
        if not values:
            raise InputError(f"no values of {path}", "at least one")
        found.setdefault(key, {})[name] = values
    return found


def _fields(lever: Lever) -> list[str]:
    if isinstance(lever, Route):
        return ["tau"]
    return [f.name for f in fields(lever) if f.name != "apps"] if is_dataclass(lever) else []


def _variants(lever: Lever, varied: Mapping[str, Sequence[Any]]) -> list[Lever]:
    """Return ``lever`` at every combination of the values; itself where nothing is varied."""
    return [_with(lever, dict(zip(varied, values, strict=True))) for values in product(*varied.values())]


def _with(lever: Lever, values: dict[str, Any]) -> Lever:
    if not values:
        return lever
    if isinstance(lever, Route):
        return Route(lever.router.with_tau(values["tau"]))
    made: Lever = replace(lever, **values)  # type: ignore[type-var]
    return made
