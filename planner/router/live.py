"""Live: what one process of a gateway knows of an exported folder at this moment.

In: the folder that ``planner export`` wrote: bundle, rollout.json, STOP. Out: the router and the rollout that hold now, whether an app
is stopped, and counts of what went wrong. A background thread looks twice a second; where it stands still, requests look
themselves; a process that is forked off goes on under a name of its own. Knows nothing of the gateway.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

from planner.router import rollout as rollouts
from planner.router.events import Events
from planner.router.guard_files import put
from planner.router.guardrails import Guard
from planner.router.load import read_manifest
from planner.router.rollout import AppRollout, Rollout
from planner.router.router import Router
from planner.router.watch import Pulse, Watched

__all__ = ["BUNDLE", "ROLLOUT", "STATE", "STOP", "Bundle", "Live", "On"]

BUNDLE, ROLLOUT, STOP, STATE = "bundle", "rollout.json", "STOP", "state"
#: [s] between looks, between ticks of the guard, between signs of life.
_LOOK_S, _TICK_S, _ALIVE_S = 0.5, 1.0, 2.0
#: [s] after which a process that gave no sign is forgotten.
_OLD_S = 86_400


class Bundle(NamedTuple):
    """A loaded bundle: its router and its manifest."""

    router: Router
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The manifest's digest: 64 hexadecimal digits."""
        return str(self.manifest["digest"])


class On(NamedTuple):
    """What is on for an app: its settings, all of the rollout, the bundle, and whether it is stopped for now."""

    settings: AppRollout
    rollout: Rollout
    bundle: Bundle
    stopped: bool


class Live:
    """The folder as it is now. ``clock`` is monotonic [s]."""

    def __init__(self, folder: str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = Path(folder)
        self.worker = _worker()
        self.state = self.folder / STATE
        self.events = Events(self.state / "events.jsonl", self.worker)
        self.guard = Guard(self.state, self.worker)
        self._bundle = Watched(self.folder / BUNDLE, self._load, keep=True, failed=lambda error: self.events.count("bundle refused", error))
        self._rollout = Watched(
            self.folder / ROLLOUT, rollouts.read, keep=False, failed=lambda error: self.events.count("rollout unreadable", error)
        )
        self.stop_file = False
        self._clock, self._ticked, self._alive, self._said = clock, -_TICK_S, -_ALIVE_S, ""
        self._marked: tuple[Rollout | None, str | None] = (None, None)
        self._ended = False
        self._pulse = Pulse(self._beat, _LOOK_S, clock)
        os.register_at_fork(after_in_child=partial(_forked, ref(self)))
        self._beat()

    @classmethod
    def started(cls, folder: str | Path) -> Live:
        """Return the folder as it is, looked at in the background until the process ends."""
        live = cls(folder)
        live._pulse.start()
        atexit.register(live.stop)
        return live

    def stop(self) -> None:
        """Look no more, write what was counted, and take the sign of life away."""
        if not self._ended:
            self._ended = True
            self._pulse.stop()
            self._beat()
            with suppress(OSError):
                self._sign.unlink()

    @property
    def bundle(self) -> Bundle | None:
        """The last bundle that was whole."""
        return self._bundle.value

    @property
    def rollout(self) -> Rollout | None:
        """The last rollout that could be read; None where there is no file."""
        return self._rollout.value

    def fresh(self) -> Live:
        """Return itself, not older than a second."""
        if self._pulse.late():
            self._look()
        return self

    def on(self, app: str) -> On | None:
        """Return what is on for ``app``; None where nothing is, or nothing is known."""
        rollout, bundle = self.rollout, self.bundle
        settings = rollout.apps.get(app) if rollout else None
        if rollout is None or bundle is None or settings is None or settings.mode == "off":
            return None
        return On(settings, rollout, bundle, self.stop_file or rollout.stop or app in self.guard.alarmed)

    def forked(self) -> None:
        """Be another process: with a name, files and counts of its own, and no lock that a thread of the first one may have held."""
        self.worker, self._said = _worker(), ""
        self.events.forked(self.worker)
        self.guard.forked(self.worker)
        for watched in (self._bundle, self._rollout, self._pulse):
            watched.forked()

    def _load(self, folder: Path) -> Bundle:
        manifest, old = read_manifest(folder)[0], self.bundle
        return old if old and old.digest == manifest["digest"] else Bundle(Router.load(folder), manifest)

    def _look(self) -> None:
        """See what takes effect at once: the rollout and the file STOP, which counts as there where it cannot be seen."""
        self._rollout.poll()
        try:
            self.stop_file = (self.folder / STOP).exists()
        except OSError:
            self.stop_file = True

    def _beat(self) -> None:
        """Look, and now and then let the guard count and say that this process lives; whatever fails is counted."""
        for step in (self._look, self._bundle.poll, self._tick, self._say, self.events.flush):
            try:
                step()
            except Exception as error:  # a full disk or a broken file must not end the watch
                self.events.count(step.__name__.strip("_"), error)

    def _tick(self) -> None:
        now, rollout, bundle = self._clock(), self.rollout, self.bundle
        if rollout is not None and bundle is not None and not 0 <= now - self._ticked < _TICK_S:  # without a bundle nothing is routed
            self._ticked = now
            self.guard.tick(rollout, bundle.router.version)

    def _say(self) -> None:
        """Write what this process does into ``state/workers``, when it changes and as a sign of life."""
        rollout, bundle, now = self.rollout, self.bundle, self._clock()
        if rollout is not self._marked[0]:
            self._marked = rollout, rollout.mark if rollout else None
        about = {
            "worker": self.worker,
            "rollout": self._marked[1],
            "bundle": bundle and bundle.digest[:12],
            "version": bundle and bundle.router.version,
            "stopped": self.stop_file or bool(rollout and rollout.stop),
            "alarmed": sorted(self.guard.alarmed),
        }
        said = json.dumps(about)
        if said != self._said or not 0 <= now - self._alive < _ALIVE_S:
            self._alive = now
            put(self._sign, said)
            if not self._said:
                self._sweep()
            self._said = said

    @property
    def _sign(self) -> Path:
        return self.state / "workers" / f"{self.worker}.json"

    def _sweep(self) -> None:
        """Take away the signs of processes that ended a day ago without taking them away themselves."""
        for file in self._sign.parent.glob("*.json"):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > _OLD_S:
                    file.unlink()


def _worker() -> str:
    """Return a name for this process that no other one ever had."""
    return f"{os.getpid()}-{secrets.token_hex(3)}"


def _forked(live: ReferenceType[Live]) -> None:
    if (here := live()) is not None:
        here.forked()
