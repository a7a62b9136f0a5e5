"""Diff: what one plan does that another does not, in words.

In: two plans. Out: one sentence per difference, none when they do the same. Knows the fields that levers show and, of a
router, whether it is the same but for its τ and its apps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planner.policies.base import Lever, where
from planner.policies.plan import Plan
from planner.policies.route import Route

__all__ = ["diff"]

_UNITS = {"_ms": "ms", "_s": "s", "_minutes": "minutes", "_hours": "h", "_bytes": "bytes"}


def diff(a: Plan, b: Plan) -> list[str]:
    """Say what changes from ``a`` to ``b``; an empty list when both do the same. Names do not count.

    >>> from planner.policies import Hedge, Plan, Timeout
    >>> old = Plan((Hedge(after_ms=2_000, apps=("chat",)), Timeout(9_000)))
    >>> diff(old, Plan((Timeout(8_000),)))
    ['hedge after 2,000 ms in chat, with the same model → off', 'timeout 9,000 ms → 8,000 ms in all apps']
    """
    said: list[str] = []
    for key in dict.fromkeys(lever.key for lever in (*a.levers, *b.levers)):
        olds, news = list(a.of_key(key)), list(b.of_key(key))
        for old, new in _paired(olds, news):
            said += _changed(old, new)
        said += [f"{old.words()} → off" for old in olds] + [f"off → {new.words()}" for new in news]
    if not said and _order(a) != _order(b):
        said.append(f"order {', '.join(x.words() for x in a.levers)} → {', '.join(x.words() for x in b.levers)}")
    return said


def _order(plan: Plan) -> list[dict[str, Any]]:
    return [lever.payload() for lever in plan.levers]


def _paired(olds: list[Lever], news: list[Lever]) -> list[tuple[Lever, Lever]]:
    """Take out of both lists the levers that are one lever before and after: of the same apps, or the only one left."""
    pairs = []
    for old in tuple(olds):
        new = next((x for x in news if x.apps == old.apps), None)
        if new is not None:
            pairs.append((old, new))
            olds.remove(old)
            news.remove(new)
    if len(olds) == len(news) == 1:
        pairs.append((olds.pop(), news.pop()))
    return pairs


def _changed(old: Lever, new: Lever) -> list[str]:
    before, after = _facts(old), _facts(new)
    lines = []
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            shown = f"{_show(name, before.get(name))} → {_show(name, after.get(name))}"
            what = " ".join(filter(None, (old.key.replace("_", " "), _label(name), shown)))
            lines.append(what if name == ("apps",) else f"{what} {where(new.apps)}")
    return lines


def _facts(lever: Lever) -> dict[tuple[str, ...], Any]:
    """Return what the lever shows, mappings one level down by their keys; of a router, what is neither τ nor apps."""
    values = {k: v for k, v in lever.payload().items() if k != "kind"}
    if isinstance(lever, Route):
        router = lever.router
        values["router"] = replace(router, support=replace(router.support, apps=None)).family
    return dict(_flat((), values))


def _flat(path: tuple[str, ...], values: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, value in values.items():
        found += _flat((*path, name), value) if isinstance(value, Mapping) else [((*path, name), value)]
    return found


def _label(path: Sequence[str]) -> str:
    shown = path if len(path) == 1 else path[1:]
    return " ".join({"tau": "τ"}.get(p, re.sub("_(ms|s|minutes|hours|bytes)$", "", f"_{p}").strip("_").replace("_", " ")) for p in shown)


def _show(path: Sequence[str], value: Any) -> str:
    if value is None:
        return "all" if path[-1] == "apps" else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    unit = next((u for end, u in _UNITS.items() if f"_{path[-1]}".endswith(end)), "")
    return f"{value:,.12g}{f' {unit}' if unit else ''}" if isinstance(value, int | float) else str(value)
