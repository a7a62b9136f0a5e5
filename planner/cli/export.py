"""``planner export``: a router, and the plan around it, as a bundle, or as the folder that a gateway runs.

In: labels (trained again) or a bundle; perhaps a plan and a log. Out: the files, loaded again, with what is expected of them where there
is a log. Knows nothing of what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Out, Quiet, book_of, traffic_at
from planner.cli.options import LogBeside, Tau, TrainingOptions, with_training_options
from planner.cli.output import Part, figure, grid, percent, show, stages, wrap
from planner.cli.speech import pasted
from planner.cli.training import fitted, matched
from planner.cli.worlds import world_of
from planner.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from planner.bundle.gateway_delays import Delay
    from planner.bundle.nocode import NoCode
    from planner.labels import Labels
    from planner.policies import Plan
    from planner.router import Router
    from planner.traffic import Traffic
    from planner.training import Training

__all__ = ["export"]

_METHODS = ("learned", "cheapest", "best", "per app", "length")
_GATEWAYS = ("litellm",)


@dataclass(frozen=True)
class _Source:
    """What is exported, and what is known of it: of a bundle its earlier evaluation, of labels the training."""

    router: Router
    evaluation: Mapping[str, Any]
    labels: Labels | None = None
    training: Training | None = None
    routers: Mapping[str, Router] = field(default_factory=dict)


@with_training_options
def export(
    *,
    source: Annotated[
        str, typer.Argument(metavar="LABELS|BUNDLE", help="Graded answers to train on, or a bundle to write at another level.")
    ],
    out: Out,
    method: Annotated[
        str | None, typer.Option("--method", help="learned (the default), cheapest, best, 'per app' or length; needs labels.")
    ] = None,
    tau: Tau = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN", help="The plan (YAML) around the router; default: the router alone.")
    ] = None,
    log: LogBeside = None,
    gateway: Annotated[
        str | None, typer.Option("--gateway", metavar="litellm", help="Write the folder that this gateway runs, the bundle in it.")
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Write over a folder that is running; its gateways take the new router at once, the one before stays."
        ),
    ] = False,
    options: TrainingOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write what production installs, and load it again as production does; with a log, write down what it is expected to do.

    [bold]Examples[/bold]

        planner export answers --log proxy.jsonl.zst --out router
        planner export answers --method cheapest --out cheapest
        planner export router --tau 5 --out router-2
        planner export answers --log november --plan plan.yaml --gateway litellm --out production
    """
    from planner.bundle import export as write
    from planner.bundle.gateway import BUNDLE, check_folder
    from planner.bundle.prediction import predict
    from planner.bundle.production import check_rollout, export_gateway
    from planner.router import Router

    silent = quiet or json
    _check(method, gateway)
    if replace and not gateway:
        raise InputError("--replace without --gateway", "the folder of a gateway", "add --gateway litellm, or leave --replace out")
    if gateway:
        check_folder(out)
        check_rollout(out, replace)
    elif _bundle_at(out / BUNDLE):
        raise InputError(
            f"'--out {out}', which a gateway runs", "the folder of a bundle", "add --gateway litellm, or choose another folder"
        )
    bundle = _bundle_at(source)
    made = _of_bundle(source, bundle, method, options) if bundle else None
    traffic = traffic_at(log, silent, "a router") if log else None
    made = made or _of_labels(source, traffic, method, options, silent)
    router = made.router if tau is None else made.router.with_tau(tau)
    around = _plan(plan, router, made) if plan or log or gateway else None
    router = around.of_key("route")[0].router if around else router
    world = world_of(traffic, made.labels, made.training, options.prices, None, options.seed, silent) if traffic is not None else None
    with stages("writing", silent):
        if gateway and around is not None:
            book, known = book_of(options.prices), made.evaluation
            done = export_gateway(
                around, out, world=world, training=made.training, labels=made.labels, book=book, evaluation=known, replace=replace
            )
            return _say(out, done.router, done.evaluation, done.files, done.nocode, json, done.left, done.delays, done.replaced)
        evaluation = dict(made.evaluation)
        if world is not None and around is not None:
            evaluation["prediction"] = predict(world, around, router)
        folder = write(router, out, training=made.training, plan=around, evaluation=evaluation)
    return _say(folder, Router.load(folder), evaluation, {}, "", json)


def _check(method: str | None, gateway: str | None) -> None:
    for given, option, known in ((method, "method", _METHODS), (gateway, "gateway", _GATEWAYS)):
        if given not in (None, *known):
            raise InputError(f"'--{option} {given}'", f"one of {', '.join(known)}", did_you_mean(str(given), known))


def _bundle_at(source: str | Path) -> Path | None:
    """Return the bundle that ``source`` is or that lies in it, as a folder or a .zip; None for anything else."""
    from planner.router.files import MANIFEST, located

    path = located(Path(source))
    return path if (path / MANIFEST).is_file() or (path.suffix == ".zip" and path.is_file()) else None


def _of_bundle(source: str, folder: Path, method: str | None, options: TrainingOptions) -> _Source:
    from planner.router import Router
    from planner.router.load import read_manifest

    beside = ["--method"] * bool(method) + options.given()
    if beside:
        named, fix = ", ".join(beside), f"name the labels instead of {source}; a bundle takes --tau, --plan and --log"
        raise InputError(f"a bundle with {named}", "labels, to train", fix)
    router = Router.load(folder)
    before = read_manifest(folder)[0].get("evaluation") or {}
    kept = {"floor_passed": before["floor_passed"]} if "floor_passed" in before else {}
    return _Source(router, {"made_from_router": router.version, **kept})


def _of_labels(source: str, traffic: Traffic | None, method: str | None, options: TrainingOptions, quiet: bool) -> _Source:
    beside = None if options.reference else traffic
    labels = options.labels(source)
    labels = labels if beside is None else matched(labels, beside, options.model)
    training = fitted(labels, beside, options.prices, quiet, **options.arguments())
    router = training.routers[method or "learned"]
    return _Source(router, {"method": method or "learned"}, labels, training, training.routers)


def _plan(path: Path | None, router: Router, made: _Source) -> Plan:
    """Return the plan around ``router``: as its file says, which may narrow the router, with its route where it has none.

    A route that names a bundle must name the one that is exported, whose level may be another one here.
    """
    from planner.policies import Plan, Route
    from planner.router.state import digest

    if path is None:
        return Plan((Route(router),), "route")
    plan = Plan.read(path, {**made.routers, "router": router})
    for name, named in _bundles_named(path, made.routers).items():
        if named.version not in (made.router.version, router.version):
            which = f"the exported one, router {router.version}"
            raise InputError(f"{path}, whose route names {name}, router {named.version}", which, f"export {path.parent / name} instead")
        plan = Plan.read(path, {**made.routers, "router": router, name: router})
    own = plan.of_key("route")
    if not own:
        return Plan((Route(router), *plan.levers), plan.name)
    if len(own) > 1 or digest(own[0].router.scorer) != digest(router.scorer):
        raise InputError(
            f"{path}, which routes by router {own[-1].router.version}", f"the exported one, {router.version}", "export that one"
        )
    return plan


def _bundles_named(path: Path, rules: Mapping[str, Router]) -> dict[str, Router]:
    """Return the router of every bundle that a route of the plan file names, by that name; ``rules`` are no bundles."""
    import yaml

    from planner.router import Router

    levers = yaml.safe_load(path.read_text("utf-8"))["levers"]
    names = {str(lever["router"]) for lever in levers if lever.get("kind") == "route"} - {*rules}
    return {name: Router.load(folder) for name in sorted(names) if (folder := _bundle_at(path.parent / name))}


def _say(
    folder: Path,
    router: Router,
    evaluation: Mapping[str, Any],
    files: Mapping[str, str],
    nocode: NoCode | str,
    json: bool,
    undone: Sequence[tuple[str, str]] = (),
    delays: Sequence[Delay] = (),
    replaced: Sequence[str] = (),
) -> None:
    from planner.bundle.gateway_readme import expected
    from planner.bundle.production import left_words, what_is_on

    words = f"Wrote {folder} and loaded it again: router {router.version}, τ {router.tau!r}, reference {router.reference}, "
    words += f"candidates {', '.join(router.candidates)}."
    about = {"version": router.version, "tau": router.tau, "reference": router.reference, "candidates": router.candidates}
    prediction = evaluation.get("prediction")
    kept = [f"{name}: {done}" for name, done in files.items() if done != "written"]
    left = [f"config_nocode.yaml was left out. {nocode}"] if files.get("config_nocode.yaml") == "left out" else []
    told = [f"Expected: {expected(prediction)}"] if prediction else []
    told += [left_words(undone).strip()] if undone else []
    told += replaced
    following = f"{pasted('planner', 'decide', '--bundle', folder)} < requests.jsonl"
    if files:
        words += f" {what_is_on(folder)}"
        following = pasted("planner", "preflight", folder, "--proxy", "URL")
    parts = [
        Part("folder", folder),
        Part("router", about),
        Part("files", files, "\n".join(map(wrap, [*kept, *left]))),
        Part("evaluation", evaluation, "\n".join(map(wrap, told))),
        Part("not_by_gateway", [{"lever": lever, "instead": why} for lever, why in undone]),
        Part("replaced", list(replaced)),
        Part("delays", delays, _delays(delays)),
        Part("next", following, f"{wrap(words)}\nNext: {following}"),
    ]
    show(parts, json)


def _delays(delays: Sequence[Delay]) -> str:
    """Return a table of how soon harm would be found, "" for no delays."""
    if not delays:
        return ""
    import pandas as pd

    rows: dict[tuple[str, float], dict[str, Any]] = {}
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {"app": ("app", str), "holdout": ("holdout", percent)}
    for one in delays:
        name = f"+{100 * one.harm:.0f} points of errors"
        columns[name] = (name, str)
        rows.setdefault((one.app, one.holdout), {"app": one.app, "holdout": one.holdout})[name] = _delay(one)
    head = "About how soon the guardrails would stop an app, all but the holdout being routed (estimated: sooner in half of all cases, in "
    return wrap(f"{head}one of twenty after up to twice as many requests):") + "\n" + grid(pd.DataFrame([*rows.values()]), columns)


def _delay(one: Delay) -> str:
    if one.requests is None:
        return "never"
    requests, days = (figure(None if n is None else float(f"{n:.2g}")) for n in (one.requests, one.days))
    return f"{requests} requests" + ("" if one.days is None else f" (≈ {days} days)")
