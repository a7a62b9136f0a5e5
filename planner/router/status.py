"""Status: what the processes of a gateway said last about an exported folder, read from the files that they leave in it.

In: the folder. Out: which processes live and what they run, alarms, answers counted by arm, what went wrong. Only reads; a file that
is damaged or gone is left out. Knows nothing of how any of it came about.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.errors import InputError, PlannerError
from planner.router.guard_bounds import Count
from planner.router.guard_windows import Window
from planner.router.guardrails import alarm_file
from planner.router.live import BUNDLE, ROLLOUT, STATE, STOP
from planner.router.load import read_manifest
from planner.router.rollout import Rollout, read
from planner.router.tallies import Tallies

__all__ = ["ALIVE_S", "Status", "Worker", "differences", "status"]

#: [s] after its last sign of life for which a process counts as running.
ALIVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Worker:
    """What one process said last: the rollout's mark, the bundle's digest and the router's version it runs, and what is stopped in it."""

    worker: str
    rollout: str | None
    bundle: str | None
    version: str | None
    stopped: bool
    alarmed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a folder.

    Parameters
    ----------
    rollout: None where there is none or it cannot be read; then ``problem`` says why.
    stopped: by the file STOP or by the rollout.
    workers: the processes that live.
    alarms: app → what was found. counts: app → "arm metric" → answers and bad ones, since the app's settings hold.
    events: (event, kind of error) → how often, over all processes and as far back as the file goes.
    """

    rollout: Rollout | None
    problem: str
    stopped: bool
    workers: tuple[Worker, ...]
    alarms: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)


def status(folder: str | Path) -> Status:
    """Return what is known of ``folder`` now; InputError where it is no exported folder.

    >>> status("/no/such/folder")
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got /no/such/folder; expected a folder that planner export --gateway litellm wrote.
    """
    home, state = Path(folder), Path(folder) / STATE
    if not home.is_dir() or not any((home / name).exists() for name in (ROLLOUT, BUNDLE, STOP)):
        raise InputError(str(home), "a folder that planner export --gateway litellm wrote")
    rollout, problem = None, ""
    try:
        rollout = read(home / ROLLOUT)
    except FileNotFoundError:
        problem = f"{home / ROLLOUT} is not there: everything goes as asked"
    except InputError as error:
        problem = str(error)
    apps = tuple(rollout.apps) if rollout else ()
    stopped = (home / STOP).exists() or bool(rollout and rollout.stop)
    alarms = {app: str(about.get("text", "")) for app in apps if (about := _object(alarm_file(state, app))) is not None}
    return Status(rollout, problem, stopped, tuple(_workers(state / "workers")), alarms, _counts(state, apps), _events(state))


def differences(folder: str | Path, found: Status) -> tuple[str, ...]:
    """Return, each in a clause, in what production is not as ``folder`` says or is stopped by an alarm; nothing where all is as set."""
    workers, many = found.workers, len(found.workers)
    unread = found.problem and (Path(folder) / ROLLOUT).exists()
    said = (
        [f"{found.problem.rstrip('.')}{'; running processes keep the last one they could read' if unread else ''}"] if found.problem else []
    )
    digest, broken = _digest(Path(folder) / BUNDLE)
    said += [f"{broken}; running processes keep the router they loaded, one that starts now has none and routes nothing"] if broken else []
    mark = found.rollout.mark if found.rollout else None
    checks = {
        "run another rollout than the file's": sum(w.rollout != mark for w in workers) if mark else 0,
        "run another bundle than the folder's": sum(w.bundle != digest for w in workers) if digest else 0,
        "have not stopped yet" if found.stopped else "are stopped still": sum(w.stopped != found.stopped for w in workers),
    }
    said += [f"{n} of {many} running processes {what}" for what, n in checks.items() if n]
    if not many and not found.stopped:
        said.append("no process of a gateway runs this folder now")
    return (*said, *(f"{app} is stopped by an alarm: it goes as asked until resumed" for app in found.alarms))


def _digest(bundle: Path) -> tuple[str | None, str]:
    """Return the beginning of a bundle's digest as processes say it, or None and why it cannot be used."""
    try:
        return str(read_manifest(bundle)[0]["digest"])[:12], ""
    except PlannerError as error:
        return None, str(error).rstrip(".")


def _workers(folder: Path) -> Iterator[Worker]:
    for file in sorted(folder.glob("*.json")):
        about = _object(file)
        if about and abs(time.time() - _changed(file)) < ALIVE_S:
            yield Worker(
                str(about.get("worker")),
                about.get("rollout"),
                about.get("bundle"),
                about.get("version"),
                bool(about.get("stopped")),
                tuple(map(str, alarmed)) if isinstance(alarmed := about.get("alarmed"), list) else (),
            )


def _counts(state: Path, apps: tuple[str, ...]) -> dict[str, dict[str, Count]]:
    tallies, stored = Tallies(state / "counts", "", lambda *_: None), _object(state / "windows.json") or {}
    tallies.read()
    windows = {app: window for app in apps if (window := _window(stored.get(app))) is not None}
    return {app: tallies.of(app, window)["start"] for app, window in windows.items()}


def _window(value: Any) -> Window | None:
    try:
        return Window.of(value)
    except (TypeError, ValueError):
        return None


def _events(state: Path) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for name in ("events.jsonl.1", "events.jsonl"):
        file = state / name
        for line in file.read_text("utf-8", "replace").splitlines() if file.exists() else ():
            about = _parsed(line)
            count = about.get("count", 1) if about is not None else None
            if about is not None and type(count) is int and count > 0:
                found[str(about.get("event")), str(about.get("error") or about.get("app") or "")] += count
    return found


def _object(file: Path) -> dict[str, Any] | None:
    """Return what an existing file holds, {} where that cannot be read; None without one."""
    try:
        return _parsed(file.read_bytes()) or {}
    except FileNotFoundError:
        return None
    except OSError:
        return {}


def _parsed(text: str | bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
