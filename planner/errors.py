"""The errors a user can meet.

In: what was found, what was expected, and what to do. Out: one exception whose text is one readable paragraph.
Knows nothing of logs, models or money.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "JOIN_WITH_TEXT",
    "BundleError",
    "InputError",
    "MissingExtraError",
    "NeedsError",
    "PlannerError",
    "PriceError",
    "did_you_mean",
    "with_text",
]

#: How logs are joined with prompts and answers that were not asked for.
JOIN_WITH_TEXT = "join the logs with their text (planner join A B --text; in Python read both with text=True)"


class PlannerError(Exception):
    """Anything planner refuses to do, said in one sentence with the next step.

    Parameters
    ----------
    got: what was found, quoted.
    expected: what would have been right.
    fix: what the reader can do about it.

    Examples
    --------
    >>> raise InputError("'--tau abc'", "a number", "pass for example --tau 5")
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got '--tau abc'; expected a number. Pass for example --tau 5.
    """

    def __init__(self, got: str, expected: str = "", fix: str = "") -> None:
        self.got, self.expected, self.fix = got, expected, fix
        text = f"Got {got}; expected {expected}." if expected else f"{got.rstrip('.')}."
        if fix:
            text += f" {fix[0].upper()}{fix[1:].rstrip('.')}{'' if fix.endswith('?') else '.'}"
        super().__init__(text)


class InputError(PlannerError):
    """A file, a column or an argument that cannot be used."""


class NeedsError(PlannerError):
    """The input is sound, but lacks what this capability needs."""


class PriceError(PlannerError):
    """A model or a rate that no price book knows."""


class BundleError(PlannerError):
    """A bundle that must not be loaded."""


class MissingExtraError(PlannerError, ImportError):
    """A name of ours that lives in an extra which is not installed."""


def did_you_mean(name: str, known: Iterable[str], n: int = 3) -> str:
    """Return ``"did you mean 'a', 'b'?"`` for the nearest known names, or ``""`` when none is near.

    Examples
    --------
    >>> did_you_mean("gpt-5-mni", ["gpt-5-mini", "claude-haiku-4-5"])
    "did you mean 'gpt-5-mini'?"
    >>> did_you_mean("zzz", ["gpt-5-mini"])
    ''
    """
    near = difflib.get_close_matches(name, list(known), n=n, cutoff=0.5)
    return f"did you mean {', '.join(repr(x) for x in near)}?" if near else ""


def with_text(file: str = "", redacted: bool = False) -> str:
    """Say how a log, of one ``file`` where it is named, is read whose prompts and answers were not asked for; ``redacted`` as it was.

    >>> with_text("calls.jsonl")
    'read the log calls.jsonl with its text (planner read LOG --text; in Python planner.read(LOG, text=True))'
    """
    log = f"the log {file}" if file else "the log"
    option, argument = (" --redact", ", redact=True") if redacted else ("", "")
    return f"read {log} with its text (planner read LOG --text{option}; in Python planner.read(LOG, text=True{argument}))"
