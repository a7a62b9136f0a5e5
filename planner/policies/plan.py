"""Plan: a named list of levers, checked as a whole before anything runs.

In: levers. Out: the plan, or one sentence that says which two contradict each other, which app, model or column the log or
the price book does not know. The empty plan is the log. Knows nothing of prices, outcomes or of how a lever works.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from planner import formats
from planner.errors import InputError, NeedsError, PriceError, did_you_mean
from planner.policies.base import Lever, RowLever
from planner.router import Router

__all__ = ["Plan"]

_MS_PER_MINUTE = 60_000


@dataclass(frozen=True, eq=False)
class Plan:
    """Levers; those of the row phase are applied in order, those of the event phase hold together.

    Parameters
    ----------
    levers: at most one of each key in each app, and no two that contradict each other.
    name: for people.
    places: where each lever was read, for errors; nothing when the plan was made in Python.

    Examples
    --------
    >>> Plan().name, len(Plan().levers)
    ('as logged', 0)
    >>> from planner.policies import Hedge
    >>> Plan((Hedge(after_ms=800, apps=("chat",)), Hedge(after_ms=2_000)), "twice")
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got plan 'twice' with two levers for lever hedge in chat; expected one at most in each app. Remove one of \
them, or give them different apps.
    """

    levers: tuple[Lever, ...] = ()
    name: str = "as logged"
    places: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for i, j in combinations(range(len(self.levers)), 2):
            found = _contradiction(self.levers[i], self.levers[j])
            if found:
                raise InputError(f"{self._place(j)} with {found[0]}", found[1], found[2] + self._first(i))

    def _place(self, i: int) -> str:
        return f"{self.places[i]}: plan {self.name!r}" if self.places else f"plan {self.name!r}"

    def _first(self, i: int) -> str:
        return f" (the first is at {self.places[i]})" if self.places else ""

    @property
    def needs(self) -> tuple[str, ...]:
        """All columns any lever needs."""
        return tuple(dict.fromkeys(n for lever in self.levers for n in lever.needs))

    @property
    def row_levers(self) -> tuple[RowLever, ...]:
        """The levers of the row phase, in order."""
        return tuple(x for x in self.levers if isinstance(x, RowLever))

    def of_key(self, key: str) -> tuple[Any, ...]:
        """Return the levers called ``key``: several only in different apps."""
        return tuple(x for x in self.levers if x.key == key)

    def payload(self) -> dict[str, Any]:
        """Return the plan as plain values in today's format."""
        return {**formats.header("plan"), "name": self.name, "levers": [lever.payload() for lever in self.levers]}

    @property
    def hash(self) -> str:
        """SHA-256 of what the plan does; its name does not count."""
        return hashlib.sha256(json.dumps(self.payload()["levers"], sort_keys=True).encode()).hexdigest()

    def check(
        self,
        apps: Collection[str],
        models: Collection[str],
        columns: Collection[str],
        providers: Collection[str] = (),
        with_text: str = "",
    ) -> None:
        """Check the plan against a log and a price book, before anything runs.

        Parameters
        ----------
        apps: of the log. models: that have a price or answered in the log. columns: of the log, those that are filled.
        providers: whose limits a plan may name in place of a model. with_text: how texts that were not copied are had.

        A route's apps are those its router was trained for: one of them in the log is enough.
        Raises InputError for an app, PriceError for a model, each with the nearest known names; NeedsError for columns.
        """
        for i, lever in enumerate(self.levers):
            place = f"{self._place(i)}: {lever.key}"
            unknown = [app for app in lever.apps or () if app not in apps]
            if unknown and (lever.key != "route" or unknown == [*(lever.apps or ())]):
                fix = did_you_mean(unknown[0], apps) or f"the log has {', '.join(sorted(apps))}"
                raise InputError(f"{place} for app {unknown[0]!r}", "an app of the log", fix)
            for model in lever.uses:
                if model not in models and model not in (providers if lever.key == "rate_limit" else ()):
                    raise PriceError(f"{place} with model {model!r}", "a known model", did_you_mean(model, [*models, *providers]))
            missing = [c.replace("|", " or ") for c in lever.needs if not set(c.split("|")) & set(columns)]
            if missing:
                text = with_text if any("messages" in column for column in missing) else ""
                fix = f"leave the lever out{text and f', or {text}'}"
                raise NeedsError(f"{place} needs {', '.join(missing)}, which this log does not have", fix=fix)

    @classmethod
    def of(cls, payload: Mapping[str, Any], kinds: Mapping[str, Callable[[Any], Lever]], where: str = "plan") -> Plan:
        """Build a plan from plain values; ``kinds`` maps each lever's ``kind`` to what builds it from its payload."""
        current = formats.migrate("plan", payload, where)
        unknown = [lever.get("kind") for lever in current["levers"] if lever.get("kind") not in kinds]
        if unknown:
            raise InputError(f"{where}: lever kind {unknown[0]!r}", f"one of {', '.join(sorted(kinds))}")
        return cls(tuple(kinds[lever["kind"]](lever) for lever in current["levers"]), str(current["name"]))

    @classmethod
    def read(cls, path: str | Path, routers: Mapping[str, Router] | None = None) -> Plan:
        """Read a plan file (YAML; see ``planner.policies.plan_file``); InputError names the file and the line.

        A route names its router by a name of ``routers``, by the version of one of them, or by a bundle's folder relative to the file.
        """
        from planner.policies.plan_file import read  # it imports this module, and YAML is needed only where a file is read

        return read(path, routers or {})

    def write(self, path: str | Path, bundles: Mapping[str, str | Path] | None = None) -> Path:
        """Write a plan file; ``bundles`` says in which folder each router is, by its version. Returns the path."""
        from planner.policies.plan_file import write  # likewise

        return write(self, path, bundles or {})


def _contradiction(a: Lever, b: Lever) -> tuple[str, str, str] | None:
    """Return what two levers of a plan, ``a`` before ``b``, contradict each other in (got, expected, fix); None if they do not."""
    shared = _shared(a.apps, b.apps)
    if shared is None:
        return None
    both = [w for w in a.writes if w in b.writes]
    if a.key == b.key or both:
        what = f"lever {a.key}" if a.key == b.key else f"{', '.join(both)} ({a.key} and {b.key})"
        return f"two levers for {what} {shared}", "one at most in each app", "remove one of them, or give them different apps"
    if a.phase == b.phase == "row" and "submit_ms" in a.writes and "model" in b.writes:
        return f"{a.key} before {b.key} {shared}", f"{b.key} first: requests are gathered per model", "swap them"
    by_key = {a.key: a, b.key: b}
    for pair, rule in _RULES.items():
        if pair == {*by_key} and (said := rule(by_key)):
            return f"{said} {shared}", *_ADVICE
    return None


_ADVICE = ("levers that can hold together", "change one of them, or give them different apps")


def _shared(a: tuple[str, ...] | None, b: tuple[str, ...] | None) -> str | None:
    """Name the apps that both lists have; None when there are none."""
    if a is None and b is None:
        return "in all apps"
    names = (b if a is None else a if b is None else tuple(x for x in a if x in b)) or ()
    return f"in {', '.join(names)}" if names else None


def _too_short(name: str, unit: str) -> Callable[[Mapping[str, Any]], str]:
    def rule(by_key: Mapping[str, Any]) -> str:
        other = next(lever for key, lever in by_key.items() if key != "batch")
        ms, minutes = getattr(other, name), by_key["batch"].window_minutes
        return f"{other.key} {unit} {ms:,g} ms and a batch window of {minutes:,g} minutes" if ms < minutes * _MS_PER_MINUTE else ""

    return rule


def _late(by_key: Mapping[str, Any]) -> str:
    deadline, timeout = by_key["retry"].deadline_ms, by_key["timeout"].ms
    short = deadline is not None and deadline < timeout
    return f"retry deadline of {deadline:,g} ms and a timeout of {timeout:,g} ms" if short else ""


def _streamed(by_key: Mapping[str, Any]) -> str:
    return "stream and a batch, whose answers come in a file" if by_key["batch"].tier == "batch" else ""


def _two_caches(by_key: Mapping[str, Any]) -> str:
    return "exact_cache and semantic_cache, which serves the same question first anyway"


def _shared_call(by_key: Mapping[str, Any]) -> str:
    return "micro_batch and cascade: an answer shared by several requests cannot be accepted for one of them"


def _sent_once(by_key: Mapping[str, Any]) -> str:
    cache = next(key for key in by_key if key != "micro_batch")
    return f"micro_batch and {cache}: who sends what a call shares is settled before a cache is asked"


_RULES: Mapping[frozenset[str], Callable[[Mapping[str, Any]], str]] = {
    frozenset({"batch", "hedge"}): _too_short("after_ms", "after"),
    frozenset({"batch", "timeout"}): _too_short("ms", "of"),
    frozenset({"batch", "stream"}): _streamed,
    frozenset({"exact_cache", "semantic_cache"}): _two_caches,
    frozenset({"micro_batch", "cascade"}): _shared_call,
    **{frozenset({"micro_batch", cache}): _sent_once for cache in ("exact_cache", "semantic_cache", "prompt_cache")},
    frozenset({"retry", "timeout"}): _late,
}
