"""``planner labels``: choose what to label, let the candidates answer, and bring the answers in.

In: a log, a work folder, results. Out: folders of work, of batch files, of answers. Knows nothing of how any of it is done.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.certifiable import certifiable
from planner.cli.common import At, Json, Log, Out, Prices, Quiet, book_of, day, numbers, pairs, traffic_at
from planner.cli.options import ExpectedOutput, Seed, Unit
from planner.cli.output import Part, bar, grid, note, percent, show, usd, wrap
from planner.cli.speech import pasted
from planner.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from planner.cli.output import Columns

__all__ = ["app"]

_HELP = """
Labels: choose what to label, let the candidates answer, grade the answers.

[bold]Examples[/bold] (in the order of the work)

    planner labels sample proxy.jsonl.zst --candidate gpt-5-mini --budget 50 --out work
    planner labels run work --base-url http://localhost:4000/v1 --budget 50
    planner labels ingest work --out answers
    planner labels grade answers --grader exact --references right.csv --out labels
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")

Work = Annotated[Path, typer.Argument(metavar="WORK", help="The folder that [bold]planner labels sample[/bold] wrote.")]
Names = Annotated[
    list[str] | None, typer.Option("--model", metavar="OURS=THEIRS", help="Call a model by the endpoint's own name. Repeatable.")
]
LimitField = Annotated[str, typer.Option("--limit-field", help="max_completion_tokens, or max_tokens for servers that know no other.")]


@app.command()
def sample(
    log: Log,
    out: Out,
    budget: Annotated[float, typer.Option("--budget", metavar="USD", help="For answers and grading together.")],
    candidate: Annotated[list[str], typer.Option("--candidate", metavar="MODEL", help="A model that should answer. Repeatable.")],
    apps: Annotated[
        Path | None,
        typer.Option("--apps", metavar="FILE", help="apps.yaml: who may see prompts and what may act; default: what the log shows."),
    ] = None,
    grader_usd: Annotated[float, typer.Option("--grader-usd", metavar="USD", help="What grading one answer costs.")] = 0.0,
    least: Annotated[int, typer.Option("--least", metavar="N", help="Requests of an app that gets any.")] = 50,
    unit: Unit = "session",
    expected_output: ExpectedOutput = None,
    limit_tokens: Annotated[
        int, typer.Option("--limit-tokens", metavar="N", help="Output limit of a request for which the log states none.")
    ] = 4_096,
    schema: Annotated[
        list[str] | None, typer.Option("--schema", metavar="APP=FILE", help="The JSON schema of an app's answers. Repeatable.")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="NAME", help="May see prompts where apps.yaml does not say who may. Repeatable."),
    ] = None,
    prices: Prices = None,
    at: At = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose which requests to label for a budget: apps with most money at stake first, near duplicates once.

    The folder holds prompts: only its owner can read it. Nobody is asked yet.

    [bold]Examples[/bold]

        planner labels sample proxy.jsonl.zst --candidate gpt-5-mini --budget 50 --out work
        planner labels sample november --candidate gpt-5-mini --candidate gpt-5-nano --budget 20 --apps apps.yaml --out work
    """
    from planner.labels import sample_labels
    from planner.prices import audit
    from planner.traffic.apps import Apps

    on = day(at)
    if isinstance(on, str):
        raise InputError(f"'--at {at}'", "a day, since answers are bought at one")
    traffic, book = traffic_at(log, quiet or json, "what is to be labelled"), book_of(prices)
    found = sample_labels(
        traffic, candidate, budget, apps=Apps.load(apps) if apps else None, book=book, seed=seed,
        unit=unit, least=least, grader_usd=grader_usd, expected_output=numbers(expected_output, "--expected-output"),
        limit_tokens=limit_tokens, schemas=_schemas(schema), providers=provider or (), at=on,
    )  # fmt: skip
    work = found.work.save(out)
    money = (
        f"{usd(found.price_usd)} expected, {usd(found.at_most_usd)} if every answer were as long as its limit: a run stops at its budget."
    )
    following = pasted("planner", "labels", "run", out, "--base-url", "URL", "--budget", f"{budget:g}")
    parts = [
        Part("folder", work.folder),
        Part("text", found.text, wrap(found.text)),
        Part("apps", found.apps, _apps(found.apps)),
        Part("account", found.table, _account(found.table)),
        certifiable(found, audit(traffic, book)),
        Part("price_usd", found.price_usd),
        Part("at_most_usd", found.at_most_usd),
        Part("next", following, f"{wrap(f'Wrote {out}. {money}')}\nNext: {following}"),
    ]
    show(parts, json)


def _whole(value: Any) -> str:
    return f"{value:,}"


def _schemas(given: Sequence[str] | None) -> dict[str, Any]:
    import json

    found = {}
    for name, path in pairs(given, "--schema").items():
        try:
            found[name] = json.loads(Path(path).read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: {error}", "a JSON schema") from error
        if not isinstance(found[name], dict):
            raise InputError(f"{path}: no object", "a JSON schema")
    return found


def _apps(table: pd.DataFrame) -> str:
    columns: Columns = {
        "app": ("app", str),
        "units": ("could be asked", _whole),
        "items": ("chosen", _whole),
        "stake_usd": ("at stake", usd),
        "price_usd": ("price", usd),
    }
    return grid(table, columns)


def _account(table: pd.DataFrame) -> str:
    return grid(table, {"what": ("what became of the log", str), "requests": ("requests", _whole), "share_of_spend": ("spend", percent)})


@app.command()
def run(
    work: Work,
    base_url: Annotated[str, typer.Option("--base-url", metavar="URL", help="Your OpenAI-compatible endpoint, usually your gateway.")],
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", help="For all runs of this work; default: the sample's, less the grading.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", metavar="N", help="Calls at a time.")] = 8,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="NAME", help="The environment variable that holds the endpoint's key.")
    ] = None,
    model: Names = None,
    limit_field: LimitField = "max_completion_tokens",
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long a call may be silent.")] = 120.0,
    retries: Annotated[int, typer.Option("--retries", metavar="N", help="Further tries after a rate limit or a failing server.")] = 5,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let the candidates answer; stops at the budget, goes on where it stopped, and pays for no answer twice.

    Ctrl-C waits for the calls under way, which are paid for; the same command goes on.

    [bold]Examples[/bold]

        planner labels run work --base-url http://localhost:4000/v1 --budget 50 --concurrency 8
        planner labels run work --base-url https://gateway.example/v1 --api-key-env GATEWAY_KEY
    """
    from planner.labels.run import run_labels

    key = os.environ.get(api_key_env) if api_key_env else None
    if api_key_env and not key:
        raise InputError(f"no environment variable {api_key_env}", "the key of the endpoint in it", f"set it: export {api_key_env}=...")
    try:
        with bar("asking", quiet or json) as progress:
            ran = run_labels(
                work, base_url, budget_usd=budget, concurrency=concurrency, api_key=key, book=book_of(prices),
                names=pairs(model, "--model"), limit_field=limit_field, timeout_s=timeout, retries=retries, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        note(f"Stopped; what was answered is kept in {work}. The same command goes on.")
        raise
    following = pasted("planner", "labels", "ingest", work, "--out", "answers")
    again = "" if ran.complete else "\nThe same command goes on where it stopped."
    parts = [
        Part("text", ran.text, wrap(ran.text)),
        Part("models", ran.table.reset_index(), _counts(ran.table)),
        Part("spent_usd", ran.spent_usd),
        Part("complete", ran.complete),
        Part("stopped", ran.stopped),
        Part("next", following, f"Next: {following}{again}"),
    ]
    show(parts, json)
    if ran.stopped and ran.stopped != "the budget is spent":
        sys.exit(2)


def _counts(table: pd.DataFrame) -> str:
    """Lay out counts by model."""
    frame = table.rename_axis("model").reset_index()
    money = [c for c in frame.columns if c in ("usd", "paid_usd")]
    columns = {c: (str(c).replace("_", " "), _whole) for c in frame.columns if c not in ("model", *money)}
    return grid(frame, {"model": ("model", str), **columns, **dict.fromkeys(money, ("paid", usd))})


@app.command()
def batch(
    work: Work,
    out: Out,
    format: Annotated[str, typer.Option("--format", metavar="openai|anthropic", help="Whose batch files.")],
    model: Names = None,
    limit_field: LimitField = "max_completion_tokens",
    prices: Prices = None,
    json: Json = False,
) -> None:
    """Write what is still to be asked as batch files, each within the provider's limits, with its price.

    [bold]Examples[/bold]

        planner labels batch work --format openai --out batches
        planner labels batch work --format anthropic --out batches-anthropic
    """
    from planner.labels.batch import write_batches

    found = write_batches(work, format, out, book=book_of(prices), names=pairs(model, "--model"), limit_field=limit_field)
    columns: Columns = {
        "file": ("file", str),
        "model": ("model", str),
        "requests": ("requests", _whole),
        "bytes": ("bytes", _whole),
        "usd": ("price", usd),
        "at_most_usd": ("at most", usd),
        "evidence": ("", str),
    }
    parts = [
        Part("folder", found.folder),
        Part("text", found.text, wrap(found.text)),
        Part("files", found.table, grid(found.table, columns)),
        Part("left_out", found.left_out),
    ]
    show(parts, json)


@app.command()
def ingest(
    work: Annotated[
        Path,
        typer.Argument(metavar="WORK", help="The folder that [bold]planner labels sample[/bold] wrote, or DIR/state/mirror of an export."),
    ],
    out: Out,
    results: Annotated[
        list[Path] | None, typer.Argument(metavar="[RESULTS]...", help="Result and error files of batches, or folders of them.")
    ] = None,
    prices: Prices = None,
    json: Json = False,
) -> None:
    """Bring in the answers of runs, batches and mirrors: one row per answer asked for, failures and expiries kept.

    [bold]Examples[/bold]

        planner labels ingest work --out answers
        planner labels ingest work batch_output.jsonl batch_errors.jsonl --out answers
        planner labels ingest production/state/mirror --out answers
    """
    from planner.labels.ingest import ingest_labels

    answers = ingest_labels(work, results or (), book=book_of(prices))
    answers.save(out)
    aside = answers.meta["results"]["aside"]
    said = "".join(f"\n{n:,} lines set aside: {why}." for why, n in aside.items())
    following = pasted("planner", "labels", "grade", out, "--help")
    parts = [
        Part("folder", out),
        Part("text", answers.text, wrap(f"{answers.text}.{said}")),
        Part("models", answers.table.reset_index(), _counts(answers.table)),
        Part("aside", aside),
        Part("next", following, f"Wrote {out}.\nNext: {following}"),
    ]
    show(parts, json)
