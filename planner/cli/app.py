"""The verbs of ``planner`` in the order of the work, and what is said before any of them runs.

In: the command line. Out: a call of one verb's function. Every verb imports what it works with inside itself, so that
``--help`` is immediate. Knows nothing of what verbs do.
"""

from __future__ import annotations

from typing import Annotated

import typer

from planner.cli import (
    apps,
    audit,
    backtest,
    bridge,
    compare,
    decide,
    drift,
    export,
    forget,
    gate,
    join,
    lab,
    labels,
    labels_grade,
    off_policy,
    optimize,
    plan,
    preflight,
    read,
    replay,
    rollout,
    simulate,
    train,
    verify,
)

__all__ = ["app"]

_HELP = """
From a log of LLM calls to a decision, and to the files that put it into production.

[bold]Examples[/bold] (in the order of the work)

    planner read proxy.jsonl.zst                what is in the log
    planner audit proxy.jsonl.zst               what it cost, and where the money goes
    planner plan proxy.jsonl.zst                what to change without any labels
    planner backtest proxy.jsonl.zst            do predictions hold on the log's own last weeks
    planner train answers.parquet --out router  learn a router from graded answers
    planner simulate proxy.jsonl.zst --labels answers.parquet
    planner compare proxy.jsonl.zst plan.yaml   plans beside today, and what each lever brings
    planner lab                                 the same with sliders
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_BEFORE = (
    *(read.read, join.join, forget.forget, audit.audit, plan.plan, backtest.backtest),
    *(train.train, simulate.simulate, compare.compare, optimize.optimize),
)
_LIVE = (preflight.preflight, decide.decide, verify.verify, bridge.bridge, drift.drift, gate.gate)
for _verb in (*_BEFORE, replay.replay, off_policy.off_policy, export.export, *_LIVE):
    app.command()(_verb)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(lab.lab)
app.add_typer(apps.app, name="apps")
app.add_typer(labels.app, name="labels")
app.add_typer(rollout.app, name="rollout")
labels.app.command()(labels_grade.grade)
labels.app.command()(labels_grade.noise)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"planner {version('llm-traffic-planner')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    """Hold what is true of every verb."""
