"""Production: everything that a gateway runs, in one folder: the bundle with what is expected of it, and the gateway's files beside.

In: a plan that routes, and what is known: the world it was simulated in, its training and labels. Out: the folder, loaded again. Knows
nothing of the command line, and turns nothing on: the first rollout is shadow, and where a rollout beyond that is running, a gateway takes
what is written at once, so that this must be asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from planner.bundle.export import export
from planner.bundle.gateway import BUNDLE, CONFIGS, ROLLOUT, GatewayParts, check_folder, left_to_apps, write_gateway
from planner.bundle.gateway_back import PREVIOUS
from planner.bundle.gateway_delays import Delay, delays
from planner.bundle.gateway_log import GatewayLog, gateway_log
from planner.bundle.gateway_readme import expected
from planner.bundle.gateway_rollout import apps_of, floor_passed
from planner.bundle.nocode import NoCode, fit_nocode
from planner.bundle.prediction import predict
from planner.errors import InputError, MissingExtraError
from planner.labels import Labels
from planner.policies import Plan
from planner.prices import PriceBook
from planner.router import Router
from planner.router.load import read_manifest
from planner.router.rollout import MODES, Rollout, read, turned, write
from planner.simulation import World
from planner.traffic.written import noted
from planner.training import Training
from planner.units import DAYS_PER_MONTH

__all__ = ["Production", "check_rollout", "export_gateway", "left_words", "what_is_on"]

_NEEDS_LABELS = "It needs labels: export from them, not from a bundle."


@dataclass(frozen=True)
class Production:
    """A folder that a gateway runs.

    Parameters
    ----------
    folder: what was written. router: as production loads it. files: file → what became of it. evaluation: of the bundle's manifest.
    nocode: the router without code, or the sentence why there is none.
    left: parts of the plan that the gateway has no setting for, each with what it does otherwise; what is expected counts them.
    dropped: what the export before this one into the folder had and this one has not, a sentence each. previous: where its bundle is kept,
        None where there was none or it was the same.
    delays: how soon the guardrails would stop each app whose routing did harm, by holdout; empty without a log.
    """

    folder: Path
    router: Router = field(repr=False)
    files: Mapping[str, str]
    evaluation: Mapping[str, Any] = field(repr=False)
    nocode: NoCode | str = field(repr=False)
    left: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    previous: Path | None = None
    delays: tuple[Delay, ...] = field(default=(), repr=False)

    @property
    def bundle(self) -> Path:
        """The bundle in the folder."""
        return self.folder / BUNDLE

    def turn(self, mode: str, *apps: str, holdout: float | None = None, **values: Any) -> Rollout:
        """Set what is on for ``apps`` (all without a name), as ``planner rollout set`` does, and return it; running gateways follow.

        Parameters
        ----------
        mode: off, shadow, mirror, canary or active. holdout: share of all apps' units that is never routed. values: share, explore, asks.
        """
        file = self.folder / ROLLOUT
        after = turned(read(file), apps or None, holdout=holdout, mode=mode, **values)
        write(file, after)
        return after

    @property
    def text(self) -> str:
        """What was written, what is expected of it, and what comes next."""
        prediction = self.evaluation.get("prediction")
        said = f" Expected: {expected(prediction)}" if prediction else ""
        return (
            f"Wrote {self.folder} and loaded it again: router {self.router.version}. {what_is_on(self.folder)}{said} "
            f"{left_words(self.left)}{''.join(f'{one} ' for one in self.replaced)}Next: planner preflight {self.folder} --proxy URL"
        )

    @property
    def replaced(self) -> tuple[str, ...]:
        """What became of the export before: where its bundle is, how to put it back, and what is gone; a sentence each."""
        if self.previous is None:
            return self.dropped
        back = f"planner rollout back {self.folder}"
        return (f"The bundle before is kept in {self.previous}; to put it back, and this one in its place, run: {back}.", *self.dropped)

    def _repr_html_(self) -> str:
        import html

        return f"<p>{html.escape(self.text)}</p>"


def left_words(left: Sequence[tuple[str, str]]) -> str:
    """Say which parts of a plan the gateway does not carry out, though what is expected counts them, each once; "" for none.

    >>> left_words([("hedge after 800 ms", "LiteLLM sends no second call")])
    'The gateway does not do these parts of the plan, which what is expected counts: hedge after 800 ms (LiteLLM sends no second call). '
    """
    reasons: dict[str, list[str]] = {}
    for lever, why in left:
        reasons.setdefault(lever, []).append(why)
    said = "; ".join(f"{lever} ({'; '.join(own)})" for lever, own in reasons.items())
    return f"The gateway does not do these parts of the plan, which what is expected counts: {said}. " if left else ""


def _beyond_shadow(folder: Path) -> dict[str, str]:
    """Return app → mode of those of which more is on than shadow, by ``rollout.json`` in ``folder``, if there is one."""
    file = folder / ROLLOUT
    apps = read(file).apps if file.exists() else {}
    return {app: own.mode for app, own in sorted(apps.items()) if MODES.index(own.mode) > MODES.index("shadow")}


def check_rollout(folder: str | Path, replace: bool = False) -> None:
    """Refuse to write over a folder of which something is on, unless to ``replace`` it; InputError for a rollout that cannot be read."""
    running = _beyond_shadow(Path(folder))
    if running and not replace:
        apps = ", ".join(f"{app} is in {mode}" for app, mode in running.items())
        fix = "another folder; or replace=True (--replace), with which running gateways take the new router at once"
        raise InputError(f"{folder}, which is running: {apps}", "a folder in which no app is beyond shadow", fix)


def what_is_on(folder: str | Path) -> str:
    """Say in a sentence what ``rollout.json`` in ``folder`` has on."""
    running = _beyond_shadow(Path(folder))
    if not running:
        return "No app is beyond shadow, so nothing changes until somebody turns it on."
    apps = ", ".join(f"{app} is in {mode}" for app, mode in running.items())
    return f"The rollout says that {apps}: running gateways take this router at once."


def export_gateway(
    plan: Plan,
    folder: str | Path,
    *,
    world: World | None = None,
    training: Training | None = None,
    labels: Labels | None = None,
    book: PriceBook | None = None,
    evaluation: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Production:
    """Write the folder that a LiteLLM proxy runs, and load it again as production does.

    Parameters
    ----------
    plan: with one Route lever, whose router is exported. folder: a new or empty one, or an earlier export, of which ``rollout.json`` stays.
    world: the log, with outcomes, that the plan was simulated in; with it the bundle says what is expected, which ``verify`` reads.
    training, labels: of the router; with both there is a configuration without code, if LiteLLM is installed.
    book: rates and windows; by default those of ``world``, else today's. evaluation: JSON values that go into the manifest too.
    replace: write over an earlier export though an app in it is beyond shadow; its bundle is kept beside the new one, for one export.

    Raises InputError for a plan that does not route by one router, for a folder of somebody else's and one that is running; what
    ``predict`` and ``export`` do.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from planner.policies import Plan
    >>> export_gateway(Plan(), mkdtemp())
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got a plan with 0 Route levers; expected exactly one, which says what is exported.
    """
    routes = plan.of_key("route")
    if len(routes) != 1:
        raise InputError(f"a plan with {len(routes)} Route levers", "exactly one, which says what is exported")
    path, router = Path(folder), routes[0].router
    check_folder(path)
    check_rollout(path, replace)
    seen = gateway_log(world.traffic) if world is not None else GatewayLog()
    nocode = _nocode(training, labels, router)
    known = dict(evaluation or {})
    if training is not None:
        known["floor_passed"] = floor_passed(training, router, apps_of(router, seen))
    if not isinstance(nocode, str):
        known["no_code"] = dict(nocode.evaluation)
    if world is not None:
        known["prediction"] = predict(world, plan, router)
    with TemporaryDirectory() as scratch:
        before = _before(path, Path(scratch))
        loaded = Router.load(export(router, path / BUNDLE, training=training, plan=plan, evaluation=known))
        previous = _kept(path, before)
    rates = book or (world.book if world is not None else PriceBook.load())
    parts = GatewayParts(plan, rates, seen, nocode, known.get("floor_passed", {}), known.get("prediction"))
    had = _configured(path)
    files = write_gateway(path, loaded, parts)
    noted(path)  # a mirror's answers will lie in it
    per_day = {app: own["requests_per_month"] / DAYS_PER_MONTH for app, own in known.get("prediction", {}).get("apps", {}).items()}
    gone, late = _gone(had, _configured(path)), delays(read(path / ROLLOUT), per_day)
    return Production(path, loaded, files, known, nocode, left_to_apps(loaded, parts), gone, previous, late)


def _before(folder: Path, scratch: Path) -> Path | None:
    """Copy the bundle that an export will replace; None where there is none."""
    return Path(shutil.copytree(folder / BUNDLE, scratch / BUNDLE)) if (folder / BUNDLE).is_dir() else None


def _kept(folder: Path, before: Path | None) -> Path | None:
    """Keep the bundle ``before`` beside the new one, in place of an older one, unless it is the same; return where."""
    if before is None or read_manifest(before)[0]["digest"] == read_manifest(folder / BUNDLE)[0]["digest"]:
        return None
    shutil.rmtree(folder / PREVIOUS, ignore_errors=True)
    return Path(shutil.copytree(before, folder / PREVIOUS))


def _configured(folder: Path) -> tuple[set[str], set[str]]:
    """Return the configurations that are there, and the router settings of the first; empty where it cannot be read."""
    try:
        found = yaml.safe_load((folder / CONFIGS[0]).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        found = None
    settings = found.get("router_settings") if isinstance(found, dict) else None
    return {name for name in CONFIGS if (folder / name).exists()}, set(settings if isinstance(settings, dict) else ())


def _gone(before: tuple[set[str], set[str]], after: tuple[set[str], set[str]]) -> tuple[str, ...]:
    """Say which configurations and settings an earlier export had and this one has not."""
    files, settings = (sorted(b - a) for b, a in zip(before, after, strict=True))
    said = [f"{name} of the export before was removed." for name in files]
    if settings:
        why = "this plan has no lever for them; with --plan PLAN they are written again"
        said.append(f"{CONFIGS[0]} no longer sets {', '.join(settings)}: {why}.")
    return tuple(said)


def _nocode(training: Training | None, labels: Labels | None, router: Router) -> NoCode | str:
    """Fit the router that needs no code, or say in a sentence why there is none."""
    if training is None or labels is None:
        return _NEEDS_LABELS
    try:
        return fit_nocode(training, router, labels.items["messages"].tolist())
    except MissingExtraError as error:
        return str(error)
