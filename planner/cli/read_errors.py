"""What must be said of a reading beside results: a file ended early, no app has a name, it was broken off, it was read otherwise before.

In: the log that was read, or the interrupt that ended its reading. Out: one line each on stderr, however quiet the rest is. Knows nothing
of formats.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from planner.traffic import Traffic

__all__ = ["say_otherwise", "told_when_broken_off", "warn"]

_SHOWN = 8


@contextmanager
def told_when_broken_off(passing: bool) -> Iterator[None]:
    """Say on Ctrl-C what is kept and how to go on; of a reading that only passes through (``passing``) nothing is."""
    try:
        yield
    except KeyboardInterrupt as error:
        notes = [] if passing else getattr(error, "__notes__", [])
        _say(" ".join(notes) or "Broken off. Nothing was kept: the same command begins anew.")
        raise


def warn(traffic: Traffic) -> None:
    """Say what the numbers of a log leave out: the rest of files that end early, and names of apps that nothing gave."""
    from planner.traffic.ended import ended_early, nameless

    for ended in ended_early(traffic):
        rows = f"{ended.rows:,} rows of it were" if ended.rows is not None else "what stands before its end was"
        fix = "Copy or export the file again for the rest"
        _say(f"WARNING: {ended.file} ENDS EARLY ({ended.why}). {rows} read, and every total is of that part only. {fix}.")
    if nameless(traffic):
        _say(f"WARNING: --app-from {traffic.meta['app_from']} names the app of no request: all are in 'default'. {_instead(traffic)}")


def say_otherwise(log: str, told: Traffic, folder: Path) -> None:
    """Say that a verb takes ``log`` as it is, though it was read into ``folder`` with its apps or columns ``told``."""
    options = [f"--app-from {told.meta['app_from']}"] if told.meta.get("app_from") else []
    options += [f"--map {ours}={theirs}" for ours, theirs in told.meta.get("mapping", {}).items()]
    _say(f"NOTE: {log} is taken as it is here; it was read with {' '.join(options)} into {folder}. Give that folder to go on with it.")


def _instead(traffic: Traffic) -> str:
    """Say what could name the apps."""
    from planner.traffic.ended import tag_prefixes

    shown = "planner read LOG --preview shows what each --app-from would give."
    if not traffic.meta["app_from"].startswith("tag:"):
        return shown
    known = [f"{prefix}:" for prefix in tag_prefixes(traffic)]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"Its tags begin with {', '.join(known[:_SHOWN])}{more}; {shown}" if known else f"None of its tags has a prefix; {shown}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
