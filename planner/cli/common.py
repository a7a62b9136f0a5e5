"""What verbs share: their options as annotated types, and the reading of arguments into values.

In: strings from the command line. Out: paths, pairs, dates, a price book, Traffic and Labels, or one InputError. Knows
nothing of any one verb.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.output import bar
from planner.cli.read_errors import say_otherwise, told_when_broken_off, warn
from planner.cli.speech import pasted
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.labels import Labels
    from planner.prices import PriceBook
    from planner.traffic import Traffic

__all__ = ["At", "Json", "Labelled", "Log", "Out", "Prices", "Prompt", "QualityColumns", "Quiet", "book_of", "day", "labels_at", "numbers"]
__all__ += ["AppsFile", "Renames", "pairs", "text_of", "traffic_at"]

Log = Annotated[
    str, typer.Argument(metavar="LOG", help="A log file, a glob, a folder of logs, or a folder that [bold]planner read[/bold] wrote.")
]
Labelled = Annotated[
    str, typer.Argument(metavar="LABELS", help="A table of graded answers (Parquet, CSV, JSON lines) or a folder of labels.")
]
Prices = Annotated[Path | None, typer.Option("--prices", metavar="FILE", help="Your own rates (YAML), laid over the catalogue.")]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="DATE|as-logged", help="The day whose prices hold; default: the catalogue's own date."),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to write.")]
Prompt = Annotated[str | None, typer.Option("--prompt", metavar="COL", help="Label table: the column with the prompt.")]
QualityColumns = Annotated[
    str | None,
    typer.Option(
        "--quality", metavar="'PATTERN*'", help="Label table: the quality columns, * for the model, e.g. 'correct_*' or 'score_*/100'."
    ),
]
Renames = Annotated[
    list[str] | None, typer.Option("--model", metavar="OLD=NEW", help="Label table: call a model by another name, the log's. Repeatable.")
]
AppsFile = Annotated[
    Path | None,
    typer.Option(
        "--apps",
        metavar="FILE",
        help="apps.yaml: what owners state is kept to, what a wrong answer costs is priced; guesses forbid nothing.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; all else on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """Read ``["a=b"]`` as ``{"a": "b"}``; InputError for what has no ``=``, and for a name that stands twice.

    >>> pairs(["request_id=id", "model==gpt-5"], "--map")
    {'request_id': 'id', 'model': '=gpt-5'}
    """
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"'{option} {text}'", "NAME=VALUE", f"for example {option} NAME=VALUE")
        if name in found:
            raise InputError(f"'{option} {text}' after '{option} {name}={found[name]}'", "every name once", "drop one of them")
        found[name] = value
    return found


def numbers(given: Sequence[str] | None, option: str) -> dict[str, float]:
    """Read ``["a=1,b=2.5"]`` as numbers above 0 by name.

    >>> numbers(["gpt-5=1,gpt-5-mini=0.2"], "--cost")
    {'gpt-5': 1.0, 'gpt-5-mini': 0.2}
    """
    found = {}
    for name, text in pairs([part for group in given or () for part in group.split(",") if part], option).items():
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = float("nan")
        if not 0 < found[name] < float("inf"):
            fix = f"for example {option} {name}=0.5; a comma stands between models"
            raise InputError(f"'{option} {name}={text}'", "a number above 0", fix)
    return found


def day(at: str | None) -> str | dt.date | None:
    """Read ``--at``: a date, ``as-logged``, or None.

    >>> day("2026-11-01"), day("as-logged"), day(None)
    (datetime.date(2026, 11, 1), 'as-logged', None)
    """
    if at is None or at == "as-logged":
        return at
    try:
        return dt.date.fromisoformat(at)
    except ValueError:
        raise InputError(f"'--at {at}'", "a date like 2026-11-01, or as-logged") from None


def book_of(prices: Path | None) -> PriceBook:
    """Load the catalogue, with the user's own rates over it."""
    from planner.prices import PriceBook

    return PriceBook.load(prices)


def traffic_at(log: str, quiet: bool, needs_text: str = "", *, copies: bool = False) -> Traffic:
    """Open a Traffic folder, or read a raw log without its text into ``.planner/``, once.

    What was read before is opened: a reading with text stands before one without, but for a verb that ``copies`` what it is given. A log
    that was read redacted, and not otherwise, is not read on the way: InputError names the folder of that reading. Where ``needs_text``
    says what cannot do without, it says how to have it.
    """
    from planner.traffic import Traffic, read
    from planner.traffic.preview import has_texts
    from planner.traffic.reopened import private_reading, told_otherwise

    before = _read_before(log, True if needs_text else False if copies else None)
    wanted = bool(needs_text) and before is None and has_texts(log)
    if before != Path(log) and (otherwise := told_otherwise(log)):
        say_otherwise(log, Traffic.open(otherwise), _shown(otherwise))
    if before:
        traffic = Traffic.open(before)
    elif hidden := private_reading(log, wanted):
        raise _was_redacted(log, *hidden, f"{pasted('planner', 'read', log)}{' --text' if wanted else ''}")
    elif wanted:
        ask = pasted("planner", "read", log, "--text")
        again = f"{ask} --redact, then give the folder that it names" if private_reading(log) else f"{ask}, then the same command again"
        raise InputError(
            f"{log}, whose prompts and answers were not copied", f"a log with its text, for {needs_text}", f"ask for it: {again}"
        )
    else:
        with told_when_broken_off(passing=False), bar("reading", quiet, unit="B") as progress:
            traffic = read(log, progress=progress)
    if needs_text:
        traffic.require_text(needs_text)
    warn(traffic)
    return traffic


def _was_redacted(log: str, folder: Path, whole: bool, again: str) -> InputError:
    shown = _shown(folder)
    other = f"read the log as it is with {again} and use the folder that it names"
    if whole:
        return InputError(f"{log}, which was read into {shown} redacted", "that folder", f"use {shown}, or {other}")
    got = f"{log}, some files of which were read into {shown} redacted, and some not"
    return InputError(got, "one reading of all of them", f"use the folder that {again} --redact names, or {other}")


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def text_of(log: str) -> str:
    """Say how the texts are had that stayed in the log when it was read; nothing where it has them, had none, or was not read."""
    from planner.traffic import Traffic

    before = _read_before(log)
    return Traffic.open(before).with_text if before else ""


def _read_before(log: str, text: bool | None = None) -> Path | None:
    """Return the folder that a log is, or into which it was read (with or without its ``text``); None where there is none."""
    from planner.traffic.reopened import earlier_reading

    return Path(log) if (Path(log) / "traffic.json").is_file() else earlier_reading(log, text)


def labels_at(path: str, prompt: str | None = None, quality: str | None = None, models: Sequence[str] | None = None) -> Labels:
    """Open a folder of labels, or read a table of graded answers; ``models`` are renamed."""
    from planner.labels import read_labels

    return read_labels(path, prompt=prompt, quality=quality, models=pairs(models, "--model"))
