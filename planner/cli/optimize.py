"""``planner optimize``: the cheapest plan within limits, searched on the earlier part of a log and reported on the later one.

In: a log, a plan file whose levers may go, settings to vary, limits. Out: the plan, as words, numbers and perhaps a file. Knows nothing
of how the search is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, Invoices, Skus, beside
from planner.cli.common import At, Json, Log, Quiet, book_of, day, pairs, traffic_at
from planner.cli.compare import OF_SAMPLE, Labelled, PlanFile, open_ended, span
from planner.cli.options import TrainingOptions, with_training_options
from planner.cli.output import Part, bar, grid, missing, show, usd, wrap
from planner.cli.worlds import opened, plans_at, text_for
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.comparison import Optimised
    from planner.policies import Plan

__all__ = ["optimize"]

_SHOWN = 10


@with_training_options
def optimize(
    *,
    log: Log,
    plan: PlanFile,
    labels: Labelled = None,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="LEVER.FIELD=A,B,...", help="Settings to choose among, e.g. hedge.after_ms=800,2000. Repeatable."),
    ] = None,
    lock: Annotated[list[str] | None, typer.Option("--lock", metavar="LEVER", help="A lever that stays as it is. Repeatable.")] = None,
    p95_ms: Annotated[float | None, typer.Option("--p95-ms", help="Most that the p95 of latency may surely be.")] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="DATE|SHARE", help="The day the reported period begins with, or the share of time before it.")
    ] = "0.7",
    evaluations: Annotated[int, typer.Option("--evaluations", min=20, help="Plans to simulate at most.")] = 200,
    journal: Annotated[
        Path | None, typer.Option("--journal", metavar="FILE", help="Keep every simulated plan here; run the same again after a kill.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan (YAML).")] = None,
    at: At = None,
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    options: TrainingOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The cheapest plan within limits of quality, latency and failures: every lever of a plan off, or on at one of some settings.

    [bold]Examples[/bold]

        planner optimize november plan.yaml --labels answers --vary route.tau=0,2,5 --floor 0.01
        planner optimize november plan.yaml --labels answers --vary hedge.after_ms=800,2000 --lock retry --p95-ms 4000
        planner optimize november plan.yaml --split 2026-11-20 --journal search.jsonl --out best.yaml
    """
    from planner.comparison import Limits, Space, periods
    from planner.comparison import optimize as optimised
    from planner.comparison.backtest_periods import cut_at

    silent, (start,) = quiet or json, plans_at([plan])
    space = Space.of(start, settings(vary or ()), lock or ())
    limits = Limits(options.arguments()["floor"], p95_ms)
    dollars = beside(traffic_at(log, silent, text_for([start], labels)), book_of(options.prices), contract, invoice, invoice_cost, sku)
    world = opened(log, [start], labels, options, day(at), silent)
    early, late = periods(world, cut_at(world.rows.timestamp, split))
    with bar("searching", silent, unit=" plans") as progress:
        found = optimised(early, late, space, limits, journal=journal, evaluations=evaluations, seed=options.seed, progress=progress)
    if out and found.plan:
        found.plan.write(out, _bundles(plan, start, found.plan))
    parts = _parts(found, out if found.plan else None)
    show([*parts[:1], *dollars, *parts[1:]], json)


def settings(given: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read ``["hedge.after_ms=800,2000"]`` as values by ``lever.field``; a value is read as a plan file would.

    >>> settings(["hedge.after_ms=800,2000", "exact_cache.coalesce=true,false"])
    {'hedge.after_ms': (800, 2000), 'exact_cache.coalesce': (True, False)}
    """
    import yaml

    found = {}
    for name, text in pairs(given, "--vary").items():
        try:
            found[name] = tuple(yaml.safe_load(value) for value in text.split(","))
        except yaml.YAMLError as error:
            raise InputError(f"'--vary {name}={text}'", "values with commas between them", "for example hedge.after_ms=800,2000") from error
    return found


def _bundles(file: Path, start: Plan, plan: Plan) -> dict[str, Path]:
    """Return the bundle's folder of each router in ``plan``, by its version, as the plan file that it came from names it."""
    import yaml

    from planner.policies import Route

    named = [lever["router"] for lever in yaml.safe_load(file.read_text("utf-8"))["levers"] if lever["kind"] == "route"]
    routers = [lever.router for lever in start.levers if isinstance(lever, Route)]
    folders = {router.family: file.parent / name for router, name in zip(routers, named, strict=True)}
    return {lever.router.version: folders[lever.router.family] for lever in plan.levers if isinstance(lever, Route)}


def _parts(found: Optimised, out: Path | None) -> list[Part]:
    table = found.table
    plan = None if found.plan is None else found.plan.payload()
    wrote = f"\nWrote {out}." if out else ""
    return [
        Part("text", found.text, f"{wrap(found.text)}{wrote}"),
        Part("plan", plan),
        Part("holds", found.holds),
        Part("searched", found.searched and found.searched.table),
        Part("reported", found.reported and found.reported.table),
        Part("tried", table, _tried(table)),
    ]


def _tried(table: Any) -> str:
    """Lay out the cheapest plans that were allowed; what each is stands in the JSON."""
    allowed = table[table["allowed"]].head(_SHOWN)
    if allowed.empty:
        return ""
    places = list(table.columns[: list(table.columns).index("usd")])
    records, sampled = allowed.to_dict("records"), "usd_low" in allowed
    shown = allowed.assign(
        cost=[span(r, "usd", "usd_low", "usd_high", usd) if sampled else usd(r["usd"]) for r in records],
        saves=[f"{usd(r['saving'])} (≥ {usd(r['saving_low'])})" if sampled else usd(r["saving"]) for r in records],
        plan=["; ".join(r[n] for n in places if r[n] != "off") or "as logged" for r in records],
        shift=["unknown" if missing(r["quality_low"]) else f"{r['quality']:+.3f} (≥ {r['quality_low']:+.3f})" for r in records],
    )
    columns: dict[str, Any] = {
        "plan": ("plan", str),
        "cost": ("$ a month", str),
        "saves": ("saves", str),
        "shift": ("quality", str),
        "p95_ms": ("p95 [ms]", lambda ms: "–" if missing(ms) else f"{ms:,.0f}"),
    }
    head = "The cheapest that were allowed, on the earlier period:"
    return "\n".join([*([wrap(OF_SAMPLE)] if sampled else []), head, open_ended(grid(shown, columns))])
