"""Around the reading of a log: options that would have no effect are refused, what only passes through goes, what was copied is said.

In: what was asked for, and the log that was read. Out: an error, a folder that is gone at the end, a sentence. Knows nothing of formats.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from planner.cli.output import Part, wrap
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.traffic import Traffic

__all__ = ["copied", "passing", "refuse"]


def refuse(options: Mapping[str, object], what: str) -> None:
    """Raise InputError that names those of ``options`` that were given, since ``what`` has no use for them.

    >>> refuse({"--redact": True, "--sample": None, "--format": "auto"}, "a table of graded answers, which is read as it is")
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got --redact for a table of graded answers, which is read as it is; expected a log. Leave it out.
    """
    given = [name for name, value in options.items() if value not in (None, False, "auto", [])]
    if given:
        raise InputError(f"{' and '.join(given)} for {what}", "a log", f"leave {'it' if len(given) == 1 else 'them'} out")


@contextmanager
def passing() -> Iterator[Path]:
    """Give a folder for what is read on the way to something else, its owner's alone and gone at the end."""
    from planner.traffic.files import owned_folder

    home = owned_folder(Path(".planner") / "traffic")
    folder = Path(tempfile.mkdtemp(prefix="passing-", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def copied(traffic: Traffic, source: Sequence[str]) -> Part:
    """Say in a line whether prompts and answers of ``source`` were copied, and how they are had or marked."""
    from planner.traffic.reopened import earlier_reading

    marked, has = bool(traffic.meta.get("redacted")), bool(traffic.filled("messages", "response"))
    words = ""
    if has:
        how = "" if marked else "; --redact marks personal data in them"
        words = f"Prompts and answers were copied into {traffic.folder}{', redacted' if marked else ''}, readable by its owner only{how}."
    elif traffic.text_left:
        words = (
            f"The prompts and answers of {traffic.text_left:,} requests stayed in the log: --text copies them, for routers, similar "
            "questions, prompt caching and compression."
        )
        if before := earlier_reading(source, text=True):
            words += f" An earlier reading, {before}, has them."
    return Part("text_copied", has, wrap(words))
