"""The version of every saved thing, and the pure steps from one version to the next.

In: the header (a dict with ``format`` and ``version``) of something read from disk, and its payload as plain values.
Out: the payload in today's version, or one error that says what to do. Newer than us is refused; bundles and summaries
are made again, not migrated. Knows nothing of what the payloads mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from planner.errors import BundleError, InputError, PlannerError

__all__ = ["MIGRATIONS", "VERSIONS", "header", "migrate"]

#: What is written today. A change to a saved layout raises its number and, but for REMADE, adds a step to MIGRATIONS.
VERSIONS: Mapping[str, int] = {
    "traffic": 2,
    "apps": 1,
    "labels": 1,
    "label_work": 1,
    "answers": 1,
    "comparisons": 1,
    "plan": 1,
    "prices": 1,
    "contracts": 1,
    "summary": 4,
    "run": 1,
    "bundle": 3,
    "rollout": 1,
    "looks": 1,
}
#: Cheap to make again from their inputs, dangerous to reinterpret.
REMADE = frozenset({"summary", "run", "bundle"})
#: ``MIGRATIONS[format][n]`` turns a payload of version n into one of version n + 1.
MIGRATIONS: Mapping[str, Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "traffic": {1: lambda header: header},  # 2: rows have their own evidence; what an older log lacks, Traffic gives its default
}


def header(name: str) -> dict[str, Any]:
    """Return what the first lines of a saved ``name`` say.

    >>> header("traffic")
    {'format': 'planner.traffic', 'version': 2}
    """
    return {"format": f"planner.{name}", "version": VERSIONS[name]}


def migrate(name: str, payload: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check the header of ``payload`` (read from ``where``) and bring it to today's version.

    Raises InputError (BundleError for a bundle) when it is another thing, newer, or too old to be migrated.

    >>> migrate("plan", {"format": "planner.plan", "version": 1, "levers": []}, "plan.yaml")["levers"]
    []
    """
    error: type[PlannerError] = BundleError if name == "bundle" else InputError
    found, version = payload.get("format"), payload.get("version")
    if found != f"planner.{name}" or not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise error(f"{where}: format {found!r}, version {version!r}", f"a planner.{name} file", f"check that this is the {name} you meant")
    if version > VERSIONS[name]:
        raise error(
            f"{where}: {name} version {version}", f"at most {VERSIONS[name]}", "it was written by a newer planner: upgrade this one"
        )
    if version < VERSIONS[name] and name in REMADE:
        raise error(f"{where}: {name} version {version}", f"{VERSIONS[name]}", "make it again with this planner")
    current = dict(payload)
    for step in range(version, VERSIONS[name]):
        current = {**MIGRATIONS[name][step](current), **header(name), "version": step + 1}
    return current
