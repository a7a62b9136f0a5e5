"""``planner gate``: whether a prompt edit, another model version or another provider may go live.

In: answers to the evaluation set, graded anew, and the baseline's. Out: pass, fail or inconclusive with slices and what else changed, as
text, Markdown or JSON; codes 0, 1 and 2. Knows nothing of how anything is tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Prompt, QualityColumns, labels_at
from planner.cli.options import Seed
from planner.cli.output import Part, figure, grid, show, wrap
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.followup.gate import Gate

__all__ = ["gate"]

_MARGIN = 0.02


def gate(
    labels: Annotated[str, typer.Option("--labels", metavar="NEW", help="The new answers, graded: a folder of labels or a table.")],
    baseline: Annotated[str, typer.Option("--baseline", metavar="OLD", help="The answers of today to the same items, graded alike.")],
    margin: Annotated[float, typer.Option("--margin", help="Quality that may be lost, 0 to 1.")] = _MARGIN,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Whose answers of NEW, where there are several models'.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="NAME", help="Whose answers of OLD, where there are several models'.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="To which prompt variant of NEW, where there are several.")
    ] = None,
    against_variant: Annotated[
        str | None, typer.Option("--against-variant", metavar="NAME", help="To which prompt variant of OLD, where there are several.")
    ] = None,
    prompt: Prompt = None,
    quality: QualityColumns = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, for a pull request or a CI summary.")] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Test whether new answers are as good as the baseline's, up to a margin, item by item, with exact bounds.

    Code 0: pass; 1: fail; 2: inconclusive, or input that cannot be compared.

    [bold]Examples[/bold]

        planner gate --labels graded-new --baseline graded --margin 0.02
        planner gate --labels answers --baseline answers --model gpt-5.5 --against gpt-5.4 --json
        planner gate --labels graded-new --baseline graded --markdown >> "$GITHUB_STEP_SUMMARY"
    """
    from planner.followup.gate import gate as tested

    if markdown and json:
        raise InputError("'--markdown --json'", "one of the two", "drop one")
    new, old = (labels_at(path, prompt, quality) for path in (labels, baseline))
    sides: dict[str, Any] = {"model": model, "against": against, "variant": variant, "against_variant": against_variant}
    found = tested(new, old, margin=margin, seed=seed, **sides)
    if markdown:
        print(found.markdown, end="")
    else:
        show(_parts(found), json)
    raise typer.Exit(found.exit_code)


def _parts(found: Gate) -> list[Part]:
    points: dict[str, Any] = {name: (name, _points) for name in ("difference", "low", "high")}
    sliced: dict[str, Any] = {"slice": ("slice", str), "dimension": ("of", str), "items": ("items", "{:,}".format), **points}
    other: dict[str, Any] = {"measure": ("beside", str), "items": ("items", "{:,}".format)}
    other |= {name: (name, figure) for name in ("baseline", "new", "difference", "low", "high")}
    difference = found.difference
    return [
        Part("verdict", found.verdict),
        Part("text", found.text, wrap(found.text)),
        Part("margin", found.margin),
        Part("difference", difference),
        Part("items", {"items": found.items, "units": found.units, "needed": found.needed}),
        Part("names", {"new": found.names[0], "baseline": found.names[1], "grader": found.grader}),
        Part("table", found.table, grid(found.table, sliced | {"verdict": ("verdict", str)})),
        Part("beside", found.beside, grid(found.beside, other) if len(found.beside) else ""),
        Part("worse", found.worse),
        Part("better", found.better),
        Part("notes", list(found.notes)),
    ]


def _points(quality: float) -> str:
    return f"{100 * quality:+z.1f}"
