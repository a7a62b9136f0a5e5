"""The training that train, simulate and export share: its options, who answers today, and training with progress.

In: options from the command line, labels, perhaps a log. Out: a Training. Training is a function of labels, options and
seed, so that nothing beside a bundle is ever kept. Knows nothing of how a router is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import book_of, numbers, pairs
from planner.cli.output import grid, note, percent, stages, usd, wrap
from planner.errors import InputError, PriceError, did_you_mean

if TYPE_CHECKING:
    from planner.labels import Labels
    from planner.router import Router
    from planner.traffic import Traffic
    from planner.training import Training

__all__ = [
    "TAU_HELP",
    "Candidate",
    "Confidence",
    "Cost",
    "ExpectedOutput",
    "Floor",
    "Human",
    "Reference",
    "Seed",
    "Unit",
    "fitted",
    "matched",
    "methods",
    "settings",
]

_UNPRICED = "Rename it (planner read ... --model OLD=NEW), state --cost MODEL=X for every model, or give its rates with --prices"

TAU_HELP = "Quality per USD, instead of the router's own; below 0 the gain it takes to leave today's model."

Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="MODEL", help="The model in use today; default: each app's own in the log, else the best one."),
]
Candidate = Annotated[
    list[str] | None, typer.Option("--candidate", metavar="MODEL", help="A model to choose among; default: all labelled. Repeatable.")
]
Cost = Annotated[
    list[str] | None,
    typer.Option("--cost", metavar="MODEL=X,...", help="Cost per request where nothing else is known; only ratios matter."),
]
Floor = Annotated[float, typer.Option("--floor", help="Quality one is willing to lose against the reference, 0 to 1: certified.")]
Confidence = Annotated[float, typer.Option("--confidence", help="With which the floor is certified.")]
Human = Annotated[
    Path | None, typer.Option("--human", metavar="LABELS", help="Grades by people of some of the same answers, to correct a judge's.")
]
Unit = Annotated[str, typer.Option("--unit", metavar="session|request", help="What one decision covers.")]
ExpectedOutput = Annotated[
    list[str] | None, typer.Option("--expected-output", metavar="MODEL=TOKENS,...", help="Tokens of an answer where the labels do not say.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of the split and of every draw.")]


def settings(
    reference: str | None,
    candidates: Sequence[str] | None,
    cost: Sequence[str] | None,
    floor: float,
    unit: str,
    expected_output: Sequence[str] | None,
    seed: int,
    apps: Path | None = None,
    confidence: float = 0.95,
    human: Path | None = None,
) -> dict[str, Any]:
    """Turn options into arguments of ``planner.train``."""
    from planner.labels import Labels
    from planner.traffic.apps import Apps

    if not 0 < confidence < 1:
        raise InputError(f"'--confidence {confidence:g}'", "a number between 0 and 1", "for example --confidence 0.95")
    return {
        "apps": Apps.load(apps) if apps else None,
        "reference": reference,
        "candidates": list(candidates) if candidates else None,
        "cost": numbers(cost, "--cost") or None,
        "floor": floor,
        "delta": 1 - confidence,
        "human": Labels.open(human) if human else None,
        "unit": unit,
        "expected_output": numbers(expected_output, "--expected-output") or None,
        "seed": seed,
    }


def matched(labels: Labels, traffic: Traffic, models: Sequence[str] | None, router: Router | None = None) -> Labels:
    """Call labelled models as the log does where only provider or date differ and no other fits; say so, and what is left open.

    Names in ``models`` (``--model``) are settled, and so are those that ``router`` decides for.
    """
    from planner.labels import match_models, one_to_one

    settled = {*pairs(models, "--model").values()}
    logged = traffic.arrow("model")["model"].unique().drop_null().to_pylist()
    found = match_models({*labels.models} - settled, {*logged} - settled)
    own = {router.reference, *router.candidates, *dict(router.references).values()} if router else set()
    sure = {old: new for old, new in one_to_one(found).items() if old not in own}
    for old, names in found.items():
        note(wrap(_renamed(old, names, old in sure, old in own)))
    return labels.renamed(sure)


def _renamed(old: str, names: Sequence[str], sure: bool, own: bool) -> str:
    head = f"The labels' {old} {'is taken for' if sure else 'may be'} the log's {' or '.join(names)}: the names differ in provider or date."
    if sure:
        return f"{head} If it is another: --model {old}={old}."
    done = "The bundle is of the labels' names: train it again with --log" if own else f"Say which: --model {old}=NAME"
    return f"{head} {done}; until then quality under the log's name is unknown."


def fitted(labels: Labels, traffic: Traffic | None, prices: Path | None, quiet: bool, **options: Any) -> Training:
    """Train, with progress, each app against its own model of today where ``traffic`` shows it.

    InputError for a model in an option that the labels do not know, also not by a name they had.
    """
    from planner.training import train

    options = _as_labelled(options, labels)
    for option in ("cost", "expected_output"):
        for name in options[option] or ():
            if name not in labels.models:
                known = ", ".join(labels.models)
                raise InputError(f"'--{option.replace('_', '-')} {name}=…'", f"one of {known}", did_you_mean(name, labels.models))
    with stages("training", quiet) as progress:
        try:
            return train(labels, traffic, book=book_of(prices), progress=progress, **options)
        except PriceError as error:
            stop = "" if error.fix.endswith("?") or not error.fix else "."
            raise PriceError(error.got, error.expected, f"{error.fix}{stop} {_UNPRICED}".strip()) from error


def _as_labelled(options: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """Call the models in ``options`` as the labels do now, where they were renamed."""
    now = {old: new for old, new in labels.meta.get("renamed", {}).items() if old not in labels.models}
    lists = {"candidates": options["candidates"] and [now.get(m, m) for m in options["candidates"]]}
    rates = {name: options[name] and {now.get(m, m): x for m, x in options[name].items()} for name in ("cost", "expected_output")}
    return {**options, **lists, **rates, "reference": now.get(options["reference"], options["reference"])}


def methods(training: Training) -> str:
    """Lay out every method on the rows that judged."""
    table = training.table.reset_index()
    table["interval"] = [f"[{low:+.4f}, {high:+.4f}]" for low, high in zip(table["diff_low"], table["diff_high"], strict=True)]
    home = table["usd_per_1k"][table["method"] == "reference"].iloc[0]
    table["saving"] = 1 - table["usd_per_1k"] / home if home > 0 else float("nan")
    columns: dict[str, Any] = {
        "method": ("method", str),
        "usd_per_1k": ("cost per 1,000", "{:,.4g}".format) if training.router.costs.basis.startswith("stated") else ("$ per 1,000", usd),
        "saving": ("saving", percent),
        "quality": ("quality", "{:.4f}".format),
        "quality_diff": ("difference", "{:+.4f}".format),
        "interval": ("95 % interval", str),
    }
    head = f"Measured on {training.notes['judged_rows']:,} held-out requests (rates: {training.router.costs.basis}):"
    return f"{head}\n{grid(table, columns)}"
