"""``planner off-policy``: what a router would be worth on a log that shows one model's answer to each request.

In: a log whose models were drawn with logged propensities, and a bundle. Out: quality and, where the log states it, cost per
request by IPS, SNIPS, DM and DR, as text and tables or JSON. Knows nothing of how they are estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import At, Json, Log, Quiet, day, pairs, traffic_at
from planner.cli.options import Seed
from planner.cli.output import Part, figure, grid, missing, show, wrap
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.router import Router
    from planner.traffic import Traffic
    from planner.training import OffPolicy

__all__ = ["off_policy"]


def off_policy(
    log: Log,
    bundle: Annotated[Path, typer.Option("--bundle", metavar="FOLDER", help="The router to judge, as planner train wrote it.")],
    tau: Annotated[float | None, typer.Option("--tau", help="Judge the router at another τ.")] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="session|request", help="What one decision covers; default: the router's own.")
    ] = None,
    drawn: Annotated[
        str | None, typer.Option("--drawn", metavar="session|request", help="What one draw of the log covers; default: as it shows.")
    ] = None,
    action: Annotated[
        list[str] | None, typer.Option("--action", metavar="ACTION=MODEL", help="Which model a logged action stands for. Repeatable.")
    ] = None,
    at: At = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What a router would be worth, from a log of draws with known probabilities; no labels are needed.

    The log needs action_propensities and a quality: planner read LOG --map quality=COLUMN.

    [bold]Examples[/bold]

        planner off-policy november --bundle router
        planner off-policy november --bundle router --tau 5 --unit request
        planner off-policy proxy.jsonl.zst --bundle router --action cheap=gpt-5-mini --json
    """
    from planner.router import Router

    when = day(at)
    if isinstance(when, str):
        raise InputError(f"'--at {at}'", "a date like 2026-11-01: the day on which it is settled which models have retired")
    router = Router.load(bundle)
    judged = router if tau is None else router.with_tau(tau)
    options = {"unit": unit, "drawn": drawn, "actions": pairs(action, "--action"), "at": when, "seed": seed}
    found = _both(traffic_at(log, quiet or json, "a router"), judged, options)
    show([part for name, one in found.items() for part in _parts(name, one)], json)


def _both(traffic: Traffic, router: Router, options: dict[str, Any]) -> dict[str, OffPolicy]:
    """Estimate quality and, where the log states costs, cost; a log without any quality still has its cost."""
    from planner.training import off_policy as estimated

    known = {"quality": "quality", "cost": "source_cost_usd"}
    table = traffic.arrow(*known.values())
    rewards = [r for r, column in known.items() if table[column].null_count < len(table)] or ["quality"]
    return {reward: estimated(traffic, router, reward=reward, **options) for reward in rewards}


def _parts(reward: str, found: OffPolicy) -> list[Part]:
    """Return the sentences and the table of one reward; JSON also has what they rest on."""
    facts = {name: value for name, value in vars(found).items() if name != "table"}
    return [
        Part(f"{reward}_text", found.text, wrap(found.text)),
        Part(reward, {**facts, "table": found.table.reset_index()}, _grid(reward, found.table.reset_index())),
    ]


def _grid(reward: str, table: Any) -> str:
    write = "{:.4f}".format if reward == "quality" else figure
    signed = "{:+z.4f}".format if reward == "quality" else lambda x: ("+" if x > 0 else "") + figure(x)
    shown = table.assign(
        between=[_between(low, high, write) for low, high in zip(table["low"], table["high"], strict=True)],
        apart=[_between(low, high, signed) for low, high in zip(table["diff_low"], table["diff_high"], strict=True)],
    )
    columns: dict[str, Any] = {
        "estimator": ("estimator", str),
        "value": (reward, lambda x: "–" if missing(x) else write(x)),
        "between": ("95 % interval", str),
        "diff": ("against the log", lambda x: "–" if missing(x) else signed(x)),
        "apart": ("95 % interval", str),
        "evidence": ("evidence", str),
    }
    return grid(shown, columns)


def _between(low: float, high: float, write: Callable[[float], str]) -> str:
    return "–" if missing(low) else f"[{write(low)}, {write(high)}]"
