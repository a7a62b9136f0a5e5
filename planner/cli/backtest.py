"""``planner backtest``: whether planner's predictions hold on the user's own log.

In: a log, and where to cut it. Out: what was predicted of the last period and what happened, and which levers are on by default after
that, as text and tables or JSON. Knows nothing of how anything is predicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Log, Prices, Quiet, book_of, labels_at, traffic_at
from planner.cli.options import Seed
from planner.cli.output import Part, figure, grid, missing, percent, show, stages, usd, wrap

if TYPE_CHECKING:
    from planner.comparison.backtest import Backtest

__all__ = ["backtest"]

#: Below so much [USD] whole cents would hide what an interval says.
_CENTS = 10
_NAMES = {
    "usd": "dollars",
    "input_tokens": "input tokens",
    "cache_read_tokens": "cached tokens, billed",
    "prompt_cache_tokens": "cached tokens, simulated",
    "output_tokens": "output tokens",
    "failures": "failures",
    "calls": "calls",
    "cache_hits": "cache hits",
    "latency_p50_ms": "p50 [ms]",
    "latency_p95_ms": "p95 [ms]",
}


def backtest(
    log: Log,
    split: Annotated[
        str, typer.Option("--split", metavar="DATE|SHARE", help="The day the last period begins with, or the share of time before it.")
    ] = "0.7",
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="LABELS", help="Graded answers: how long and how quick models are that are new.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Simulations whose mean is the prediction.")] = 8,
    prices: Prices = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit on the first weeks of a log, predict the last under what was configured, and compare with what happened.

    [bold]Examples[/bold]

        planner backtest proxy.jsonl.zst
        planner backtest november --split 2026-11-20 --labels answers
        planner backtest november --split 0.8 --json
    """
    from planner.comparison.backtest import backtest as tested

    silent = quiet or json
    traffic = traffic_at(log, silent, "labels" if labels else "")
    graded = labels_at(labels) if labels else None
    with stages("back-test", silent) as progress:
        found = tested(traffic, split, labels=graded, book=book_of(prices), runs=runs, seed=seed, progress=progress)
    show(_parts(found), json)


def _parts(found: Backtest) -> list[Part]:
    single = found.table[found.table["measure"].isin(_NAMES)]
    words = found.text
    return [
        Part("text", words, wrap(words)),
        Part("split", {"cut": found.cut, "requests_before": found.requests[0], "requests_after": found.requests[1]}),
        Part("intervals", {"tested": found.tested, "hit": found.hits, "nominal": found.nominal}),
        Part("table", found.table, _table(single)),
        Part("switches", found.switches, _switches(found.switches)),
        Part("parts", found.parts),
        Part("levers", found.levers, _levers(found.levers)),
        Part("configured", found.plan.payload()["levers"]),
        Part("untested", list(found.untested)),
    ]


def _table(rows: Any) -> str:
    shown = [
        {"app": r["app"], "measure": _NAMES[r["measure"]], "predicted": _number(r, "predicted"), "between": _between(r)}
        | {"actual": _number(r, "actual"), "off": percent(r["predicted"] / r["actual"] - 1 if r["actual"] else float("nan"))}
        | {"holds": _holds(r["hit"])}
        for r in rows.to_dict("records")
    ]
    columns = {"app": "app", "measure": "what", "predicted": "predicted", "between": "95 % interval", "actual": "was"}
    columns |= {"off": "off", "holds": "holds"}
    return _grid(shown, columns)


def _switches(rows: Any) -> str:
    shown = [
        {"app": r["app"], "models": f"{r['before']} → {r['after']}", "measure": _NAMES[r["measure"]], "was": _number(r, "was")}
        | {"predicted": f"{_number(r, 'predicted')} {_between(r)}".strip(), "actual": _number(r, "actual"), "holds": _holds(r["hit"])}
        for r in rows.to_dict("records")
    ]
    if not shown:
        return ""
    columns = {"app": "app", "models": "switch", "measure": "per request", "was": "before", "predicted": "predicted after"}
    head = "Models that apps switched to in this log, predicted from before; that requests stayed alike is assumed:"
    return f"{wrap(head)}\n{_grid(shown, columns | {'actual': 'was', 'holds': 'holds'})}"


def _levers(rows: Any) -> str:
    shown = [{"lever": r["lever"], "verdict": r["verdict"], "on": "on" if r["on_by_default"] else "OFF"} for r in rows.to_dict("records")]
    return _grid(shown, {"lever": "lever", "verdict": "back-test", "on": "by default"})


def _grid(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    import pandas as pd

    return grid(pd.DataFrame(rows), {name: (heading, str) for name, heading in columns.items()})


def _number(row: Any, name: str) -> str:
    value = row[name]
    if row["measure"] != "usd":
        return figure(value)
    return f"${figure(value)}" if 0 < value < _CENTS else usd(value)


def _between(row: Any) -> str:
    return "" if missing(row["low"]) else f"[{_number(row, 'low')}, {_number(row, 'high')}]"


def _holds(hit: Any) -> str:
    return "–" if hit is None else "yes" if hit else "NO"
