"""Preflight: whether a running gateway can carry an exported folder, before anything is turned on.

In: the folder, a running proxy that is only asked, perhaps peaks and quotas. Out: one line a check, each go, no-go or unknown, with the
reason and what to do; what the calls cost; how the running configuration differs from the written one. Knows nothing of HTTP.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from planner.bundle.gateway import BUNDLE, CALLBACK, CONFIGS, ROLLOUT
from planner.bundle.prediction import peaks
from planner.bundle.preflight_calls import Tried, features_of, tried
from planner.bundle.preflight_checks import Check, Peaks, Quotas, listed, quotas, reached, retirements, stated_quotas
from planner.bundle.preflight_keys import key_limits
from planner.bundle.preflight_proxy import Proxy
from planner.bundle.preflight_running import CLASSIFIER, HOOK, ROLLBACK, deciding, differences, kind_of, same_models, settled
from planner.errors import InputError, did_you_mean
from planner.outcomes import Outcomes
from planner.policies import Plan, Route
from planner.prices import PriceBook
from planner.router import Router
from planner.router.load import read_manifest
from planner.router.rollout import Rollout, read
from planner.simulation import World
from planner.simulation.world import send
from planner.traffic import Traffic
from planner.traffic.sampling import refuse_part

__all__ = ["Preflight", "peaks_of", "preflight"]

_UNCHANGED = "Nothing was changed. To go back after a rollout: "
#: Whose busiest minute is told: of the log given now, or of the one that was exported with.
_GIVEN = "of the log given, under the plan, tokens as logged"
_EXPORTED = "of the log at the export, under the plan, tokens as predicted"


@dataclass(frozen=True)
class Preflight:
    """What was found.

    Parameters
    ----------
    checks: in the order in which they were made.
    calls: made. cost_usd: of those that the gateway says a cost of, ``costed`` of them; None where it says none.
    diff: what the running configuration has otherwise: (setting, written, running).
    rollback: how to go back, by what decides there: the hook, the classifier, or the configuration without code.
    """

    checks: tuple[Check, ...]
    calls: int
    costed: int
    cost_usd: float | None
    diff: tuple[tuple[str, str, str], ...]
    rollback: str = field(default=_UNCHANGED + ROLLBACK[HOOK], repr=False)

    @property
    def go(self) -> bool:
        """Whether nothing stands against it."""
        return all(c.go is not False for c in self.checks)

    @property
    def table(self) -> pd.DataFrame:
        """One row a check: ``check, subject, go, found, fix``."""
        return pd.DataFrame([vars(c) for c in self.checks])

    @property
    def text(self) -> str:
        """The verdict in words."""
        against, unknown = (sum(c.go is value for c in self.checks) for value in (False, None))
        verdict = f"No-go: {against} of {len(self.checks)} checks fail" if against else "Go: no check fails"
        left = f", {unknown} are open (marked ?): could not be told, or are for you to judge" if unknown else ""
        if self.cost_usd is None:
            return f"{verdict}{left}. {self.calls} calls were made; the gateway does not say what they cost."
        rest = "" if self.costed == self.calls else f", and {self.calls - self.costed} whose cost it does not say"
        return f"{verdict}{left}. {self.costed} calls cost ${self.cost_usd:.6f} by the gateway's own account (measured){rest}."


def preflight(
    folder: str | Path,
    proxy: Proxy,
    *,
    today: dt.date,
    book: PriceBook,
    busiest: Peaks | None = None,
    limits: Quotas | None = None,
    apps: Sequence[str] | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Preflight:
    """Check whether the gateway behind ``proxy`` can carry the export in ``folder``; a few tiny calls are made and nothing is changed.

    Parameters
    ----------
    today: against which models retire. book: what it knows of retirements.
    busiest: peaks of each model (``peaks_of``); without it those of the manifest's prediction.
    limits: quotas of each model; without it what the deployments state.
    apps: whose groups the key must be allowed to use, beside all candidates; without it those of every app.
    progress: called with each group and the share done.

    Raises InputError or BundleError for a folder that is no export, or damaged; InputError for an app that the rollout does not list.
    """
    path = Path(folder)
    router, rollout, written = Router.load(path / BUNDLE), _rollout(path), _written(path)
    mine = _named(rollout, apps)
    prediction = (read_manifest(path / BUNDLE)[0].get("evaluation") or {}).get("prediction") or {}
    checks, made = list(reached(proxy)), list[Tried]()
    kind, auto = kind_of(proxy, CALLBACK)
    if checks[0].go:
        others = {group for name, app in rollout.apps.items() if name not in mine for group in app.asks}
        asked = [group for name in mine for group in rollout.apps[name].asks]
        named = [entry["model_name"] for entry in written.get("model_list", ()) if entry["model_name"] not in others]
        groups = list(dict.fromkeys([*router.candidates, *asked, *named]))
        checks += [*listed(proxy, groups), *deciding(proxy, CALLBACK, router, mine, _slot(path) if kind == CLASSIFIER else {})]
        checks += [*same_models(written, proxy, book, router.candidates), *settled([*differences(written, proxy)], proxy)]
        missing = {c.subject for c in checks if c.check == "model group" and c.go is False}
        for i, group in enumerate(g for g in groups if g not in missing):
            if progress:
                progress(f"calling {group}", i / len(groups))
            made += tried(proxy, group, features_of(router, group, prediction.get("used")))
        checks += [one.check() for one in made]
        load, whose = busiest or prediction.get("peaks") or {}, _GIVEN if busiest else _EXPORTED
        checks += quotas(load, limits or stated_quotas(proxy), router.candidates, whose)
        checks += key_limits(proxy, router, mine, load, whose) if kind == HOOK else ()
        checks += retirements(router, proxy, book, today)
    costs = [one.cost_usd for one in made if one.cost_usd is not None]
    back, diff = ROLLBACK[kind].format(auto=auto), tuple(differences(written, proxy))
    return Preflight(tuple(checks), len(made), len(costs), sum(costs) if costs else None, diff, _UNCHANGED + back)


def peaks_of(traffic: Traffic, router: Router, book: PriceBook) -> Peaks:
    """Return the busiest minute of each model as logged and as ``router`` would send the log; tokens as logged (assumed where moved).

    Raises NeedsError for a sample: what is missing between its rows came together with them.
    """
    refuse_part(traffic, "the busiest minute is made of those that came together")
    world = World(traffic, Outcomes(), book, book.date)
    rows, plan = world.rows, Plan((Route(router),))
    calls, tokens = np.where(rows.billable, rows.attempts, 0), np.where(rows.billable[:, None], rows.tokens, 0)
    return peaks(rows, {"log": (rows.model, calls, tokens), "plan": (send(rows, world.intents(plan, world.block)), calls, tokens)})


def _named(rollout: Rollout, apps: Sequence[str] | None) -> list[str]:
    """Return the apps in question, all without ``apps``."""
    known = [*rollout.apps]
    for app in apps or ():
        if app not in known:
            raise InputError(f"app {app!r}", f"one of {', '.join(known)}", did_you_mean(app, known))
    return known if apps is None else list(apps)


def _rollout(folder: Path) -> Rollout:
    try:
        return read(folder / ROLLOUT)
    except FileNotFoundError as error:
        raise InputError(f"{folder} without {ROLLOUT}", "a folder that planner export --gateway litellm wrote", "export it") from error


def _slot(folder: Path) -> dict[str, Any]:
    """Return the settings of the classifier's group as they were written, empty without any."""
    found = (entry["litellm_params"].get("complexity_router_config") for entry in _written(folder, CONFIGS[1])["model_list"])
    return next((config for config in found if config), {})


def _written(folder: Path, name: str = CONFIGS[0]) -> dict[str, Any]:
    """Return a written configuration."""
    file = folder / name
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: {type(error).__name__}", "a readable configuration", "export it again") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}", "a mapping with model_list", "export it again")
    return found
