"""``planner train``: learn a router from graded answers, judge it beside every simple rule, and write it as a bundle.

In: labels, and the log whose models are to be replaced. Out: a bundle. Knows nothing of how a router is learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.cli.common import Json, Labelled, Out, Quiet, text_of
from planner.cli.options import LogBeside, TrainingOptions, with_training_options
from planner.cli.output import Part, show, wrap
from planner.cli.simulate import OF_BUNDLE
from planner.cli.speech import pasted, spoken
from planner.cli.training import methods, trained

if TYPE_CHECKING:
    from planner.training import Training

__all__ = ["train"]


@with_training_options
def train(*, labels: Labelled, out: Out, log: LogBeside = None, options: TrainingOptions, json: Json = False, quiet: Quiet = False) -> None:
    """Learn a router on half of the graded requests, certify its floor on a quarter, judge it on the last, and write a bundle.

    [bold]Examples[/bold]

        planner train answers --log proxy.jsonl.zst --out router
        planner train answers.parquet --reference gpt-5 --candidate gpt-5-mini --floor 0.02 --out router
        planner train bench.csv --quality 'correct_*' --cost big=10,small=1 --unit request --out router
    """
    from planner.bundle import export

    found = trained(labels, log, options, quiet or json)
    router, folder = found.router, export(found.router, out, training=found)
    done = f"Wrote {folder} and loaded it again: router {router.version}, τ {router.tau!r}, reference {router.reference}"
    done += "".join(f", {model} for {app}" for app, model in router.references)
    following = pasted("planner", "simulate", log or "LOG", "--labels", labels, "--bundle", folder, *options.again(OF_BUNDLE))
    if (method := found.verdict.method) in found.rules:
        beside = ["--log", log] if log else []
        following = pasted("planner", "export", labels, *beside, *options.again(), "--method", method, "--out", "ANOTHER_FOLDER")
    first = f"\n{wrap(f'It compares prompts: before it, {spoken(lacking)}.')}" if log and (lacking := text_of(log)) else ""
    parts = [
        Part("folder", folder),
        Part("text", found.text, "\n".join(wrap(line) for line in found.text.splitlines())),
        Part("methods", found.table.reset_index(), methods(found)),
        Part(
            "router", {"version": router.version, "tau": router.tau, "reference": router.reference, "references": dict(router.references)}
        ),
        Part("verdict", {"kind": found.verdict.kind, "method": found.verdict.method, "more_labels": found.verdict.more_labels}),
        Part("guarantee", _certificate(found)),
        Part("harm", _harm(found)),
        Part("notes", found.notes),
        Part("next", following, f"{wrap(done)}.\nNext: {following}{first}"),
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


def _harm(found: Training) -> dict[str, Any] | None:
    """Return wrong answers a month, and what they cost where an owner states it, as values; None where no log tells the volume."""
    return None if found.harm is None else {**vars(found.harm), "table": found.harm.table.reset_index(names="app")}
