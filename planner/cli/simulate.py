"""``planner simulate``: the log, the models of today, the simple rules and the learned router over the same requests, side by side.

In: a log and labels, and a bundle or the options of training. Out: the comparison, money with its evidence. Without a log
the labelled requests are the traffic. Knows nothing of how a plan is simulated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.bills import ContractFile, InvoiceCost, Invoices, Skus, beside
from planner.cli.common import At, Json, Quiet, book_of, day, traffic_at
from planner.cli.compare import OF_SAMPLE, cost, open_ended, span
from planner.cli.options import Tau, TrainingOptions, with_training_options
from planner.cli.output import Part, grid, percent, show, stages, usd, wrap
from planner.cli.training import matched
from planner.cli.worlds import training_of, world_of
from planner.errors import InputError
from planner.schema import EVIDENCE

if TYPE_CHECKING:
    from planner.comparison import Comparison
    from planner.labels import Labels
    from planner.router import Router
    from planner.simulation import Simulation, World
    from planner.traffic import Apps, Traffic
    from planner.training import Training

__all__ = ["OF_BUNDLE", "simulate"]

_SHOWN = 15
#: Options that a bundle has decided.
OF_BUNDLE = ("--reference", "--candidate", "--floor", "--unit", "--apps")


@with_training_options
def simulate(
    *,
    log: Annotated[
        str | None, typer.Argument(metavar="LOG", help="A log or a Traffic folder; without it the labelled requests are the traffic.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="LABELS", help="Graded answers: what quality would be elsewhere.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", metavar="DIR", help="The router of this bundle, not one trained now.")] = None,
    tau: Tau = None,
    at: At = None,
    contract: ContractFile = None,
    invoice: Invoices = None,
    invoice_cost: InvoiceCost = "effective",
    sku: Skus = None,
    options: TrainingOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The log, the models of today, every simple rule and the learned router over the same requests at the same prices.

    [bold]Examples[/bold]

        planner simulate proxy.jsonl.zst --labels answers
        planner simulate november --labels answers --bundle router --tau 5
        planner simulate november --labels answers --floor 0.005 --at as-logged
        planner simulate november --labels answers --contract contracts.yaml --invoice cost_2026-11.csv
        planner simulate --labels bench.csv --reference gpt-5 --expected-output gpt-5=300,gpt-5-mini=300
    """
    from planner.router import Router

    silent, when = quiet or json, day(at)
    if bundle and (own := [name for name in options.given() if name in OF_BUNDLE]):
        raise InputError(f"--bundle with {', '.join(own)}", "a bundle, which has its own", "change its level with --tau")
    table = options.labels(labels) if labels else None
    router = Router.load(bundle) if bundle else None
    arguments = options.arguments()
    home = options.reference or (router.reference if router else None)
    traffic = _traffic(log, table, home, arguments["expected_output"] or {}, bundle is not None, silent)
    dollars = beside(traffic, book_of(options.prices), contract, invoice, invoice_cost, sku)
    table = matched(table, traffic, options.model, router) if table is not None and log else table
    training = training_of(traffic, table, router, arguments, options.prices, silent) if table is not None else None
    chosen = router or (training.router if training else None)
    if chosen is None:
        raise InputError("neither --labels nor --bundle", "at least one: what to simulate", "without labels try: planner plan LOG")
    kept = {"models of today": chosen.with_tau(-math.inf)}
    routers = {**kept, **(training.rules if training else {}), "learned": chosen if tau is None else chosen.with_tau(tau)}
    world = world_of(traffic, table, training, options.prices, when, options.seed, silent)
    parts = _parts(_compared(world, routers, arguments["floor"], silent), routers, log, training, arguments["apps"])
    show([*parts[:1], *dollars, *parts[1:], _twice(world)], json)


def _traffic(
    log: str | None, labels: Labels | None, reference: str | None, output: Mapping[str, float], bundle: bool, quiet: bool
) -> Traffic:
    """Open the log, or write the labelled requests, answered by ``reference``, as one under ``.planner/``."""
    if log:
        return traffic_at(log, quiet, "a router" if labels or bundle else "")
    if labels is None:
        raise InputError("neither a log nor --labels", "requests to simulate", "for example: planner simulate LOG --labels LABELS")
    if reference is None:
        raise InputError("--labels without a log and without --reference", "the model that answers today", "add --reference MODEL")
    from planner.labels import as_traffic

    tokens = round(output[reference]) if reference in output else None
    folder = Path(".planner") / "traffic" / f"labels-{labels.hash[:16]}-{sha256(f'{reference} {tokens}'.encode()).hexdigest()[:8]}"
    return as_traffic(labels, reference, folder, output_tokens=tokens)


def _compared(world: World, routers: Mapping[str, Router], floor: float, quiet: bool) -> Comparison:
    from planner.comparison import compare
    from planner.policies import Plan, Route
    from planner.simulation import run

    found = [run(world, Plan())]
    with stages("simulating", quiet) as progress:
        for i, (name, router) in enumerate(routers.items()):
            progress(name, i / len(routers))
            found.append(run(world, Plan((Route(router),), name)))
    return compare(*found, floor=floor)


def _parts(found: Comparison, routers: Mapping[str, Router], log: str | None, training: Training | None, apps: Apps | None) -> list[Part]:
    learned = found.simulations[-1]
    by_app = learned.table if apps is None else _with_wrong_answers(learned.table, apps)
    header = learned.summary.header
    where = "The log's own requests" if log else "The labelled requests, taken as one day's traffic"
    head = f"{where}, replayed at {header.price_book} prices of {header.price_date}. Evidence of the dollars in per cent:"
    head += " m measured, e estimated, a assumed."
    head = f"{OF_SAMPLE} {head}" if learned.drawn is not None else head
    words = _words(found)
    return [
        Part("text", words, wrap(words)),
        Part("plans", found.table, f"{wrap(head)}\n{_table(found.table)}\n{wrap(_basis(learned, routers, training is not None))}"),
        Part("by_app", by_app, _by_app(by_app)),
        Part("routers", {n: {"version": r.version, "tau": r.tau, "reference": r.reference} for n, r in routers.items()}),
        Part("header", header),
    ]


def _twice(world: World) -> Part:
    """Say what may have acted twice in the log: none of these plans asks anything again of its own accord."""
    from planner.comparison.compare import AMONG_DRAWN
    from planner.simulation.side_effects import as_logged

    found = as_logged(world)
    said = f"None of these plans retries, hedges or falls back. As logged: {found.text}"
    said += f" {AMONG_DRAWN}" if (world.rows.weight != 1).any() else ""
    return Part("second_actions", found, wrap(said) if found.requests else "")


def _words(found: Comparison) -> str:
    """Say which plan is the best, and how the learned one stands."""
    told = [s for s in (found.best, found.simulations[-1]) if s is not None]
    return "\n".join([found.verdict, *dict.fromkeys(s.text for s in told)])


def _basis(learned: Simulation, routers: Mapping[str, Router], labelled: bool) -> str:
    from planner.router import AlwaysRule

    quality = learned.quality()
    said = [f"Quality is {quality.evidence} ({quality.source}) and compared with the log's."] if labelled else []
    for name, router in routers.items():
        if router.tau == math.inf:
            said.append(f"'{name}' is the cheapest candidate that can and may answer each request.")
        elif isinstance(router.scorer, AlwaysRule):
            said.append(f"'{name}' is {router.candidates[int(router.scorer.row.argmax())]} for every request it may decide.")
    said.append("'models of today' is each app on the model it uses last; what a router adds is the difference to it.")
    if "per app" in routers:
        said.append(
            "'per app' is fitted to labels and certified on them; 'best static per app' of planner compare is chosen on predictions."
        )
    final = routers["learned"]
    return " ".join([*said, f"'learned' is router {final.version} at τ {final.tau!r}."])


def _with_wrong_answers(table: Any, apps: Apps) -> Any:
    """Add what an app's wrong answers cost [USD a month], where its owner states the cost of one; below 0 where there are fewer."""
    price = table["app"].map({name: app.usd_per_wrong_answer for name, app in apps.apps.items()}).astype(float)
    return table.assign(usd_per_wrong_answer=price, wrong_usd_per_month=price * -table["quality_difference"] * table["requests_per_month"])


def _by_app(table: Any) -> str:
    """Lay out the apps in which the learned router saves or costs most, and what wrong answers cost there."""
    apps = table[table["app"] != "all"].sort_values("saving_usd_per_month", key=abs, ascending=False, kind="stable")
    more = f"\n… and {len(apps) - _SHOWN} apps with smaller changes (all of them with --json)" if len(apps) > _SHOWN else ""
    shown = apps.head(_SHOWN)
    lines = f"'learned', app by app:\n{_table(shown.assign(plan=shown['app']), 'app')}{more}"
    if "wrong_usd_per_month" not in apps or (told := shown.dropna(subset="wrong_usd_per_month")).empty:
        return lines
    each = ", ".join(f"{usd(r.wrong_usd_per_month)} in {r.app} ({usd(r.usd_per_wrong_answer)} each)" for r in told.itertuples())
    return f"{lines}\n{wrap(f'To set against the saving, what more wrong answers cost a month by their owners (assumed): {each}.')}"


def _table(rows: Any, first: str = "plan") -> str:
    """Lay out plans (or apps) with money beside its evidence."""
    records = rows.to_dict("records")
    shown = rows.assign(
        cost=[cost(r) for r in records],
        evidence=[_mix(r) for r in records],
        saving=[span(r, "saving_usd_per_month", "saving_low", "saving_high", usd) for r in records],
        shift=[span(r, "quality_difference", "quality_low", "quality_high", "{:+z.3f}".format) for r in records],
    )
    columns: dict[str, Any] = {
        "plan": (first, str),
        "cost": ("$ a month", str),
        "evidence": ("evidence", str),
        "saving": ("saves a month [95 %]", str),
        "shift": ("quality change [95 %]", str),
        "changed_share": ("moved", percent),
    }
    return open_ended(grid(shown, columns))


def _mix(row: Mapping[str, Any]) -> str:
    """Say how much of a sum of dollars is measured, estimated and assumed, in per cent."""
    total = row["usd_per_month"]
    parts = ((k[0], row[f"usd_{k}"]) for k in EVIDENCE)
    return " ".join(f"{100 * v / total:.0f}{k}" for k, v in parts if total and v / total >= 0.005) or "–"
