"""``planner join``: two logs of the same calls, a gateway's and a tracer's, as one.

In: two logs and a time window. Out: a Traffic folder; how many calls are in both, ambiguous, or in one only; which log each field comes
from. Knows nothing of how calls are recognised.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Quiet, traffic_at
from planner.cli.output import Part, bar, grid, show, wrap
from planner.cli.speech import pasted

if TYPE_CHECKING:
    from planner.traffic import Traffic

__all__ = ["join"]

_SAID = (
    ("matched_by_id", "matched by id"),
    ("matched_by_tokens", "matched by model, time and tokens"),
    ("ambiguous_a", "of the first may be several of the second: kept without it"),
    ("ambiguous_b", "of the second may be several of the first: set aside"),
    ("attempts_b", "of the second are failed attempts at calls of the first: set aside"),
    ("left_over_a", "only in the first"),
    ("left_over_b", "only in the second"),
)


def join(
    books: Annotated[str, typer.Argument(metavar="BOOKS", help="The log whose cost, tokens, status and times hold: the gateway's.")],
    content: Annotated[str, typer.Argument(metavar="CONTENT", help="The log whose text, prompt versions, scores and sessions hold.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to write.")] = None,
    window: Annotated[
        float, typer.Option("--window", metavar="SECONDS", help="How far apart the logs may see the same call begin, where no id tells.")
    ] = 5.0,
    apart: Annotated[bool, typer.Option("--apart", help="The logs may be of different calls: none need be in both.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Read both logs as [bold]planner read --text[/bold] does.")] = False,
    redact: Annotated[bool, typer.Option("--redact", help="Read both logs as [bold]planner read --redact[/bold] does.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Two logs of the same calls (or of different ones, --apart) as one log, in which every call stands once.

    [bold]Examples[/bold]

        planner join litellm.jsonl.zst langfuse.jsonl --out november
        planner join litellm-november langfuse-november --window 2
        planner join litellm.jsonl.zst langfuse.jsonl --text --redact --out november
        planner join litellm-of-search langfuse-of-support --apart
    """
    from planner.traffic.join import join as joined

    silent = quiet or json
    first, second = (_read(path, text, redact, silent) for path in (books, content))
    with bar("joining", silent, unit=" rows") as progress:
        found = joined(first, second, out, window_s=window, apart=apart, progress=progress)
    show(_parts(found, books, content), json)


def _read(path: str, text: bool, redact: bool, silent: bool) -> Traffic:
    if not (text or redact):
        return traffic_at(path, silent, copies=True)
    from planner.traffic import read

    with bar("reading", silent, unit="B") as progress:
        return read(path, text=text, redact=redact, progress=progress)


def _parts(found: Traffic, books: str, content: str) -> list[Part]:
    told = found.meta["join"]
    rows = told["a"]["rows"] + told["b"]["rows"]
    aside = told["ambiguous_b"] + told["attempts_b"]
    head = f"{rows:,} rows of {books} and {content} = {len(found):,} requests + {found.meta['joined']:,} partners"
    counts = [f"{told[key]:>9,}  {words}" for key, words in _SAID]
    differ = ", ".join(f"{n:,} in {field}" for field, n in told["contradictions"].items() if n)
    contradictions = f"Partners contradict each other: {differ}; the first log's is kept." if differ else ""
    following = pasted("planner", "audit", found.folder)
    return [
        Part("folder", found.folder),
        Part("join", told, "\n".join([wrap(f"{head} + {aside:,} set aside."), *counts])),
        Part("contradictions", told["contradictions"], wrap(contradictions)),
        Part("fields", told["fields"], _fields(told["fields"])),
        Part("next", following, f"Joined into {found.folder}\nNext: {following}"),
    ]


def _fields(fields: dict[str, dict[str, int]]) -> str:
    """One line per field: in how many requests it comes from which log."""
    import pandas as pd

    table = pd.DataFrame([{"field": c, "a": n.get("a", 0), "b": n.get("b", 0)} for c, n in fields.items()])
    columns: dict[str, Any] = {"field": ("field", str), "a": ("from the first", "{:,}".format), "b": ("from the second", "{:,}".format)}
    return f"Requests whose field comes from which log:\n{grid(table, columns)}"
