"""``planner train``: learn a router from graded answers, judge it beside every simple rule, and write it as a bundle.

In: labels, and the log whose models are to be replaced. Out: a bundle. Knows nothing of how a router is learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import AppsFile, Json, Labelled, Out, Prices, Prompt, QualityColumns, Quiet, Renames, labels_at, traffic_at
from planner.cli.output import Part, show, wrap
from planner.cli.training import (
    Candidate,
    Confidence,
    Cost,
    ExpectedOutput,
    Floor,
    Human,
    Reference,
    Seed,
    Unit,
    fitted,
    matched,
    methods,
    settings,
)

if TYPE_CHECKING:
    from planner.training import Training

__all__ = ["train"]


def train(
    labels: Labelled,
    out: Out,
    log: Annotated[
        str | None, typer.Option("--log", metavar="LOG", help="The log: each app is measured against its own model of today.")
    ] = None,
    reference: Reference = None,
    candidate: Candidate = None,
    cost: Cost = None,
    floor: Floor = 0.02,
    confidence: Confidence = 0.95,
    human: Human = None,
    unit: Unit = "session",
    expected_output: ExpectedOutput = None,
    prompt: Prompt = None,
    quality: QualityColumns = None,
    model: Renames = None,
    apps: AppsFile = None,
    prices: Prices = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn a router on half of the graded requests, certify its floor on a quarter, judge it on the last, and write a bundle.

    [bold]Examples[/bold]

        planner train answers --log proxy.jsonl.zst --out router
        planner train answers.parquet --reference gpt-5 --candidate gpt-5-mini --floor 0.02 --out router
        planner train bench.csv --quality 'correct_*' --cost big=10,small=1 --unit request --out router
    """
    from planner.bundle import export

    options = settings(reference, candidate, cost, floor, unit, expected_output, seed, apps, confidence, human)
    table = labels_at(labels, prompt, quality, model)
    traffic = traffic_at(log, quiet or json) if log and not reference else None
    table = table if traffic is None else matched(table, traffic, model)
    found = fitted(table, traffic, prices, quiet or json, **options)
    router, folder = found.router, export(found.router, out, training=found)
    done = f"Wrote {folder} and loaded it again: router {router.version}, τ {router.tau!r}, reference {router.reference}"
    done += "".join(f", {model} for {app}" for app, model in router.references)
    following = f"planner simulate {log or 'LOG'} --labels {labels} --bundle {folder}"
    if found.verdict.method in found.rules:
        following = f"planner export {labels} {f'--log {log} ' if log else ''}--method {found.verdict.method!r} --out ANOTHER_FOLDER"
    parts = [
        Part("folder", folder),
        Part("text", found.text, "\n".join(wrap(line) for line in found.text.splitlines())),
        Part("methods", found.table.reset_index(), methods(found)),
        Part(
            "router", {"version": router.version, "tau": router.tau, "reference": router.reference, "references": dict(router.references)}
        ),
        Part("verdict", {"kind": found.verdict.kind, "method": found.verdict.method, "more_labels": found.verdict.more_labels}),
        Part("guarantee", _certificate(found)),
        Part("notes", found.notes),
        Part("next", following, f"{wrap(done)}.\nNext: {following}"),
    ]
    show(parts, json)


def _certificate(found: Training) -> dict[str, Any]:
    """Return what is certified of the learned router, as values."""
    own = found.guarantees["learned"]
    if found.by_app is not None:
        apps = found.by_app.table.reset_index().to_dict("records")
        return {"certified": found.router.tau != float("-inf"), "tau": found.router.tau, "confidence": 1 - found.by_app.delta, "apps": apps}
    return {
        "certified": own.certified,
        "tau": own.tau,
        "floor": own.floor,
        "confidence": 1 - own.delta,
        "saving": own.saving,
        "abstained_share": own.abstained_share,
        "grader": own.grader,
        "verified": own.verified,
        "units": own.units,
        "needed": own.needed,
    }
