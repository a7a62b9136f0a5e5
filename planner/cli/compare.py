"""``planner compare``: plan files beside today, the best static models and the gateway's own router, and what each lever brings.

In: a log, plan files, perhaps labels. Out: one table, what routing and cascades add, what may act twice, and for every plan its
waterfall and the interactions of its levers. Knows nothing of how a plan is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, Invoices, Skus, beside
from planner.cli.common import At, Json, Log, Quiet, book_of, day, pairs, traffic_at
from planner.cli.options import TrainingOptions, with_training_options
from planner.cli.output import Part, grid, missing, percent, show, stages, usd, wrap
from planner.cli.worlds import opened, plans_at, text_for
from planner.schema import EVIDENCE

if TYPE_CHECKING:
    from planner.comparison import Comparison, Interactions, Waterfall

__all__ = ["OF_SAMPLE", "Labelled", "PlanFile", "answered", "compare", "cost", "evidence", "open_ended", "span"]

#: What is said above dollars of a sample.
OF_SAMPLE = "Dollars are those of the whole log that this sample stands for: estimated at best, with their 95 % limits."
#: What is told of second actions, by its column.
_ACTS = {"certain": "certain", "possible": "possible", "keyed": "prevented by keys"}

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file (YAML).")]
Labelled = Annotated[str | None, typer.Option("--labels", metavar="LABELS", help="Graded answers: what quality would be elsewhere.")]


@with_training_options
def compare(
    *,
    log: Log,
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN...", help="Plan files (YAML).")],
    labels: Labelled = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            "--tier", metavar="TIER=MODEL", help="What a tier of the gateway's own router stands for; default: by cost. Repeatable."
        ),
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", metavar="LEVER,...", help="Put the levers in in this order; default: as the file has them.")
    ] = None,
    at: At = None,
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    options: TrainingOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Plans beside today; what each lever brings, and what a router or a cascade adds over the best simple rule.

    A plan with a route lever stands beside each app's best static model and the gateway's own heuristic router, one with a cascade beside
    each of its models alone as well; a plan with neither, beside the log as it is.

    [bold]Examples[/bold]

        planner compare november plan.yaml --labels answers
        planner compare november careful.yaml bold.yaml --labels answers --floor 0.01
        planner compare november plan.yaml --labels answers --order compress,route --json
    """
    from planner.comparison import compare as compared
    from planner.comparison import interactions, waterfall
    from planner.comparison.plays import Plays
    from planner.comparison.waterfall import places

    silent, given, named = quiet or json, plans_at(plans), order.split(",") if order else None
    for plan in given if named else ():
        places(plan, named)
    dollars = beside(traffic_at(log, silent, text_for(given, labels)), book_of(options.prices), contract, invoice, invoice_cost, sku)
    world = opened(log, given, labels, options, day(at), silent)
    apart = []
    with stages("comparing", silent) as progress:
        found = compared(*given, world=world, floor=options.arguments()["floor"], tiers=pairs(tier, "--tier") or None)
        for i, plan in enumerate(p for p in given if p.levers):
            progress(plan.name, i / len(given))
            plays = Plays(world, [plan])
            apart.append((waterfall(world, plan, order=named, plays=plays), interactions(world, plan, plays=plays)))
    parts = _parts(found, apart)
    show([*parts[:1], *dollars, *parts[1:]], json)


def span(row: Mapping[Any, Any], name: str, low: str, high: str, write: Callable[[Any], str]) -> str:
    """Write a value with its limits, where it has some that differ; [–] says that it should have some and too little is known.

    >>> span({"x": 1.0, "a": 0.5, "b": 2.0}, "x", "a", "b", str), span({"x": 0.0, "a": None, "b": None}, "x", "a", "b", str)
    ('1.0 [0.5, 2.0]', '0.0')
    >>> span({"x": 3.0, "a": None, "b": None}, "x", "a", "b", str)
    '3.0 [–]'
    """
    value, bottom, top = (row[k] for k in (name, low, high))
    if missing(value):
        return "unknown"
    if missing(bottom):
        return f"{write(value)} [–]" if value else write(value)
    return write(value) if bottom == top else f"{write(value)} [{write(bottom)}, {write(top)}]"


def cost(row: Mapping[Any, Any]) -> str:
    """Write what a plan costs a month, of a sample with its limits.

    >>> cost({"usd_per_month": 12.0}), cost({"usd_per_month": 12.0, "usd_low": 9.0, "usd_high": 16.0})
    ('$12.00', '$12.00 [$9.00, $16.00]')
    """
    return span(row, "usd_per_month", "usd_low", "usd_high", usd) if "usd_low" in row else usd(row["usd_per_month"])


def _parts(found: Comparison, apart: Sequence[tuple[Waterfall, Interactions]]) -> list[Part]:
    header = found.simulations[0].summary.header
    head = f"All at {header.price_book} prices of {header.price_date}; * is beaten by no other in cost, quality and p95:"
    head = f"{wrap(OF_SAMPLE)}\n{head}" if found.simulations[0].drawn is not None else head
    return [
        Part("text", found.text, "\n".join(map(wrap, found.head))),
        Part("plans", found.table, f"{head}\n{open_ended(_plans(found.table))}{_twice(found.table)}"),
        Part("waterfalls", [w.table for w, _ in apart], "\n\n".join(_waterfall(w) for w, _ in apart)),
        Part("interactions", [i.table for _, i in apart], "\n\n".join(wrap(i.text) for _, i in apart)),
        Part("header", header),
    ]


def open_ended(table: str) -> str:
    """Say below a table what [–] means, where it is there."""
    why = "too few users ask for what changes or were drawn, or no label tells"
    return f"{table}\n[–]: no interval; {why}." if "[–]" in table else table


def answered(table: Any) -> dict[str, Any]:
    """Return the column of requests that a cache of answers serves, where there are any."""
    return {"hit_share": ("from cache", percent)} if (table["hit_share"] > 0).any() else {}


def evidence(row: Mapping[Any, Any]) -> str:
    """Say how a saving is known: as most of it is, and how much of it otherwise.

    >>> evidence({"evidence": "assumed", "saving_measured": 0.0, "saving_estimated": 19.04, "saving_assumed": 0.03})
    'estimated, $0.03 assumed'
    """
    parts = {name: row[f"saving_{name}"] for name in EVIDENCE if row[f"saving_{name}"]}
    if not parts:
        return str(row["evidence"])
    first, *rest = sorted(parts, key=lambda name: -abs(parts[name]))
    return ", ".join([first, *(f"{usd(parts[name])} {name}" for name in rest)])


def _plans(table: Any) -> str:
    records = table.to_dict("records")
    shown = table.assign(
        cost=[cost(r) for r in records],
        plan=[f"{'*' if r['pareto'] else ' '} {r['plan']}" for r in records],
        saving=[span(r, "saving_usd_per_month", "saving_low", "saving_high", usd) for r in records],
        shift=[span(r, "quality_difference", "quality_low", "quality_high", "{:+z.3f}".format) for r in records],
    )
    streams = (table["perceived_p95_ms"] - table["p95_ms"]).abs().max() > 0
    columns: dict[str, Any] = {
        "plan": ("  plan", str),
        "cost": ("$ a month", str),
        "saving": ("saves [95 %]", str),
        "shift": ("quality [95 %]", str),
        "p95_ms": ("p95 [ms]", lambda ms: "–" if missing(ms) else f"{ms:,.0f}"),
        **({"perceived_p95_ms": ("perceived", lambda ms: "–" if missing(ms) else f"{ms:,.0f}")} if streams else {}),
        **answered(table),
    }
    return grid(shown, columns)


def _twice(table: Any) -> str:
    """Lay out, beside its saving, how often each plan that asks again acts twice where tools are offered; nothing where none does."""
    if "twice_certain" not in table:
        return ""
    acting = table.dropna(subset="twice_certain")
    saving = [span(r, "saving_usd_per_month", "saving_low", "saving_high", usd) for r in acting.to_dict("records")]
    columns: dict[str, Any] = {
        "plan": ("plan", str),
        "saving": ("saves [95 %]", str),
        **{f"twice_{name}": (heading, "{:,.0f}".format) for name, heading in _ACTS.items()},
    }
    return f"\n\nSecond actions in the log's period, of requests that offer tools:\n{grid(acting.assign(saving=saving), columns)}"


def _waterfall(found: Waterfall) -> str:
    """Lay out one plan lever by lever."""
    table = found.table
    records = table.to_dict("records")
    shown = table.assign(
        **{
            name: [
                span(r, f"{name}_usd_per_month", f"{name}_low", f"{name}_high", usd) if r["lever"] != "all" or name == "saving" else ""
                for r in records
            ]
            for name in ("saving", "alone", "last")
        },
        known=[evidence(r) for r in records],
    )
    columns: dict[str, Any] = {
        "lever": ("lever", str),
        "saving": ("saves a month, in order", str),
        "alone": ("alone", str),
        "last": ("last", str),
        "known": ("evidence", str),
    }
    head, *more = found.text.split("\n")
    assumed = more[len(found.steps) :]
    return "\n".join([wrap(head), open_ended(grid(shown, columns)), *map(wrap, assumed)])
