"""``planner labels grade`` and ``planner labels noise``: answers become labels, and how much of their grades is noise.

In: a folder of answers and a grader's name; folders of labels, of comparisons. Out: a folder of labels; a sentence. Knows nothing of how
answers are graded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.common import Json, Labelled, Out, Prices, Quiet, book_of, labels_at
from planner.cli.output import Part, bar, grid, note, percent, show, wrap
from planner.cli.speech import pasted
from planner.errors import InputError, NeedsError

__all__ = ["grade", "noise"]

_HOW = "exact, numeric: 0.01, regex: 'PATTERN', schema: FILE, contains: [WORDS], grounded, command: 'PROGRAM', judge: MODEL, human: STORE"


def grade(
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS", help="The folder that [bold]planner labels ingest[/bold] wrote.")],
    grader: Annotated[
        str, typer.Option("--grader", "-g", metavar="YAML", help=f"How: {_HOW}; with settings, 'numeric: {{rel: 0.01}}'; or a YAML file.")
    ],
    out: Out,
    references: Annotated[
        Path | None, typer.Option("--references", metavar="FILE", help="A table with the right answer of each request.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="Judge: your OpenAI-compatible endpoint, usually your gateway.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", help="Judge: for all judging of these answers together.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", metavar="N", help="Judge, command: so many at a time.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="NAME", help="Judge: the environment variable that holds the endpoint's key.")
    ] = None,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Grade answers from 0 to 1; what cannot be graded is kept with the reason, never as a 0.

    A judge is asked in both orders, stops at the budget, and goes on where it stopped when the same command is given again.

    [bold]Examples[/bold]

        planner labels grade answers --grader exact --references right.csv --out labels
        planner labels grade answers --grader 'numeric: {rel: 0.01}' --references right.csv --out labels
        planner labels grade answers --grader 'command: python grade.py' --out labels
        planner labels grade answers --grader judge.yaml --base-url http://localhost:4000/v1 --budget 5 --out labels
        planner labels grade answers --grader 'judge: {model: gpt-5.4, against: log}' --base-url URL --budget 5 --out labels
        planner labels grade answers --grader 'human: comparisons' --out human
    """
    from planner import labels

    opened = labels.Answers.open(answers)
    right = labels.read_references(references) if references else None
    with bar("grading", quiet or json) as progress:
        how: dict[str, Any] = {
            "base_url": base_url, "budget_usd": budget, "concurrency": concurrency, "api_key": _key(api_key_env),
            "journal": str(answers / "judge.jsonl"), "book": book_of(prices) if prices else None, "progress": progress,
        }  # fmt: skip
        made = labels.grader(grader, **how)
        graded = labels.grade(opened, made, references=right)
    why = _reasons(graded.ungraded)
    if graded.labels.outcomes.empty:
        first = "; ".join(f"{r.answers:,} {r.reason}{f' ({r.example})' if r.example else ''}" for r in why.itertuples())
        raise NeedsError(f"no grade for any of {len(graded.ungraded):,} answers: {first}", "some graded answers", _FIX)
    graded.save(out)
    following = pasted("planner", "train", out, "--log", "LOG", "--out", "router")
    parts = [
        Part("folder", out),
        Part("text", graded.text, wrap(graded.text)),
        Part("models", graded.table.reset_index(), _counts(graded.table)),
        Part("ungraded", why, _why(why)),
        Part("grader", made.name),
        Part("cost_usd", graded.cost_usd),
        Part("next", following, f"Wrote {out}.\nNext: {following}"),
    ]
    show(parts, json)
    note("What was not asked can be bought with a higher --budget.", quiet or json or "not asked" not in set(why["reason"]))


_FIX = "see planner labels grade --help for what each grader needs"


def _key(name: str | None) -> str | None:
    key = os.environ.get(name) if name else None
    if name and not key:
        raise InputError(f"no environment variable {name}", "the key of the endpoint in it", f"set it: export {name}=...")
    return key


def _reasons(ungraded: Any) -> Any:
    """Return reason → how many answers, and the detail of one."""
    found = ungraded.groupby("reason", sort=False)["detail"].agg(answers="size", example="first").reset_index()
    return found.sort_values("answers", ascending=False, kind="stable").reset_index(drop=True)


def _why(found: Any) -> str:
    if found.empty:
        return ""
    return grid(found, {"reason": ("not graded", str), "answers": ("answers", "{:,}".format), "example": ("for example", _short)})


def _short(text: str) -> str:
    return " ".join(text.split())[:60]


def _counts(table: Any) -> str:
    frame = table.rename_axis("model").reset_index()
    columns = {c: (str(c), "{:,}".format) for c in frame.columns if c not in ("model", "quality")}
    return grid(frame, {"model": ("model", str), **columns, "quality": ("quality", "{:.3f}".format)})


def noise(
    labels: Labelled,
    again: Annotated[str | None, typer.Option("--again", metavar="LABELS", help="A second grading of the same answers.")] = None,
    reference: Annotated[str | None, typer.Option("--reference", metavar="MODEL", help="Gains are over this model.")] = None,
    store: Annotated[Path | None, typer.Option("--store", metavar="STORE", help="Comparisons by people: how far they agree.")] = None,
    json: Json = False,
) -> None:
    """Say how much of what the grades show is noise, from whatever was graded twice.

    [bold]Examples[/bold]

        planner labels noise labels
        planner labels noise labels --again labels-graded-again --reference gpt-5.4
        planner labels noise human --again judged --store comparisons
    """
    from planner import labels as library

    people = library.agreement(store) if store else None
    found = library.noise(labels_at(labels), labels_at(again) if again else None, reference=reference)
    rows = found.table.reset_index()
    parts = [
        Part("text", found.text, wrap(found.text)),
        Part("shares", rows, _shares(rows)),
        Part("agreement", people.text if people else None, wrap(people.text) if people else ""),
    ]
    show(parts, json)


def _shares(rows: Any) -> str:
    return grid(
        rows,
        {"what": ("of what was graded twice", str), "value": ("share", percent), "low": ("from", percent), "high": ("to", percent),
         "n": ("n", "{:,}".format), "evidence": ("", str)},
    )  # fmt: skip
