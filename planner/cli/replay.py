"""``planner replay``: one plan over a log of any size, part after part, in bounded memory; interrupted, it goes on where it was.

In: a log, a plan file, perhaps labels, a folder to keep finished parts in, a Dask cluster. Out: what the plan comes to, by app. Knows
nothing of how a plan is simulated.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import At, Json, Log, Quiet, day, traffic_at
from planner.cli.compare import Labelled, PlanFile, answered, open_ended, span
from planner.cli.options import TrainingOptions, with_training_options
from planner.cli.output import Part, bar, grid, show, usd, wrap
from planner.cli.worlds import opened, plans_at, text_for
from planner.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from planner.simulation import Simulation

__all__ = ["replay"]

_WHOLE = "replay the whole log, or simulate the sample whole with planner compare"


@with_training_options
def replay(
    *,
    log: Log,
    plan: PlanFile,
    labels: Labelled = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Requests that begin in a part: memory goes by it.")] = 125_000,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep finished parts here; run the same again after a kill.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, e.g. tcp://10.0.0.1:8786: play the parts there.")
    ] = None,
    at: At = None,
    options: TrainingOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """One plan over a log of any size, in the memory of one part.

    [bold]Examples[/bold]

        planner replay november plan.yaml --labels answers
        planner replay november plan.yaml --keep november-run
        planner replay november plan.yaml --scheduler tcp://10.0.0.1:8786
    """
    from planner.simulation import simulate_in_parts
    from planner.simulation.parts import check_parts
    from planner.traffic.sampling import refuse_part

    silent, (given,) = quiet or json, plans_at([plan])
    traffic = traffic_at(log, silent, text_for([given], labels))
    check_parts(traffic, given, rows)
    refuse_part(traffic, "parts do not know what was drawn together, so that no total would have an interval", _WHOLE)
    world = opened(log, [given], labels, options, day(at), silent)
    with _client(scheduler) as client, bar("requests", silent, unit=" rows") as progress:
        found = simulate_in_parts(
            world.traffic,
            given,
            outcomes=world.outcomes,
            book=world.book,
            at=world.at,
            seed=world.seed,
            rows=rows,
            keep=keep,
            client=client,
            progress=progress,
        )
    show(_parts(found, int(world.traffic.meta.get("quarantined", 0))), json)


def _client(address: str | None) -> AbstractContextManager[Any]:
    """Connect to the scheduler, if one is named."""
    if address is None:
        return nullcontext()
    try:
        from distributed import Client
    except ImportError as error:
        fix = "run: pip install 'llm-traffic-planner[cluster]'"
        raise MissingExtraError("--scheduler needs distributed, which is not installed", fix=fix) from error
    try:
        client: AbstractContextManager[Any] = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {address}: {error}", "the address of a running Dask scheduler", "see docs/scale.md") from error
    return client


def _parts(found: Simulation, aside: int) -> list[Part]:
    from planner.comparison.silence import set_aside

    header, words = found.summary.header, f"{found.text} {set_aside(aside)}" if aside else found.text
    head = f"At {header.price_book} prices of {header.price_date}, a month:"
    return [
        Part("text", words, wrap(words)),
        Part("by_app", found.table, f"{head}\n{open_ended(_by_app(found.table))}"),
        Part("header", header),
    ]


def _by_app(table: Any) -> str:
    records = table.to_dict("records")
    shown = table.assign(
        saving=[span(r, "saving_usd_per_month", "saving_low", "saving_high", usd) for r in records],
        shift=[span(r, "quality_difference", "quality_low", "quality_high", "{:+z.3f}".format) for r in records],
    )
    columns: dict[str, Any] = {
        "app": ("app", str),
        "usd_per_month": ("$ a month", usd),
        "saving": ("saves", str),
        "shift": ("quality", str),
        **answered(table),
    }
    return grid(shown, columns)
