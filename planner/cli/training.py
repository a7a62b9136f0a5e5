"""The training that train, simulate and export share: its options, who answers today, and training with progress.

In: options from the command line, labels, perhaps a log. Out: a Training. Training is a function of labels, options and
seed, so that nothing beside a bundle is ever kept. Knows nothing of how a router is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import book_of, numbers
from planner.cli.output import grid, percent, stages, usd
from planner.errors import InputError, PriceError, did_you_mean

if TYPE_CHECKING:
    from planner.labels import Labels
    from planner.traffic import Traffic
    from planner.training import Training

__all__ = ["Candidate", "Cost", "ExpectedOutput", "Floor", "Reference", "Seed", "Unit", "fitted", "methods", "settings"]

_UNPRICED = "Rename it (planner read ... --model OLD=NEW), state --cost MODEL=X for every model, or give its rates with --prices"

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
Floor = Annotated[float, typer.Option("--floor", help="Quality one is willing to lose against the reference, 0 to 1.")]
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
) -> dict[str, Any]:
    """Turn options into arguments of ``planner.train``."""
    return {
        "reference": reference,
        "candidates": list(candidates) if candidates else None,
        "cost": numbers(cost, "--cost") or None,
        "floor": floor,
        "unit": unit,
        "expected_output": numbers(expected_output, "--expected-output") or None,
        "seed": seed,
    }


def fitted(labels: Labels, traffic: Traffic | None, prices: Path | None, quiet: bool, **options: Any) -> Training:
    """Train, with progress, each app against its own model of today where ``traffic`` shows it.

    InputError for a model in an option that the labels do not know.
    """
    from planner.training import train

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
