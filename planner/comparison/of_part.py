"""What a part of a log cannot say about changes: those that need every row, or the text of every row, are left out where some are missing.

In: Traffic. Out: the kinds of change to leave out, and one sentence with them and how they are had. The rule is that of plans, which refuse
the same levers (``sampling.needs_every_row``). Knows nothing of how a change is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.traffic import Traffic
from planner.traffic.sampling import heaviest, needs_every_row

__all__ = ["Untold", "untold"]

#: Kinds of change → what they are called, and the lever of a plan that needs as much of a log as they do.
_KINDS: Mapping[str, tuple[str, str]] = {
    "response cache": ("exact repeats", "exact_cache"),
    "failed again": ("failures that were sent again", "exact_cache"),
    "prompt cache": ("what prompt caches missed", "prompt_cache"),
    "unread cache writes": ("cache writes that nobody read", "batch"),
    "batch": ("batches", "batch"),
}


@dataclass(frozen=True)
class Untold:
    """``kinds`` of change that a log cannot tell, and the sentence that says so; nothing of one that holds all rows and texts."""

    kinds: frozenset[str] = frozenset()
    said: str = ""


def untold(traffic: Traffic) -> Untold:
    """Return what ``traffic`` cannot tell."""
    kinds = [kind for kind, (_, lever) in _KINDS.items() if needs_every_row(traffic, [lever])]
    if not kinds:
        return Untold()
    most, names = heaviest(traffic), [_KINDS[kind][0] for kind in kinds]
    if most is None:
        why, fix = "the text of every request, and this log kept a part", "read the log without --sample-text"
    else:
        why = f"every request, and in this log a row stands for up to {most:,.4g}"
        fix = "read the log without --sample" if traffic.meta.get("samples") else "give a log of every request"
    what = f"{', '.join(names[:-1])} and {names[-1]}"
    return Untold(frozenset(kinds), f"Left out, since they need {why}: {what}. To have them, {fix}.")
