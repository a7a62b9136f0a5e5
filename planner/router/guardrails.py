"""Guardrails: stop routing an app whose routed answers are worse than those that were left alone.

In: answers with their arm, thumbs, the rollout's margins. Out: alarms, as files that every process of the gateway sees, after which the
app goes back to where it was asked until somebody takes the file away. What is an alarm, and how rarely a false one comes, is the rule of
``guard_rule``: ``routed`` against ``holdout`` and ``control`` together, with the log's baseline as a second witness. All that is routed
counts, also what the router leaves where it was: a margin is one of the app. The counts are tested every second, since the start of the
settings and in longer and shorter windows, so that what goes wrong after a long good time is found too (``benchmarks/guardrails.py``
measures all of this). Knows nothing of gateways.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from planner.errors import MissingExtraError
from planner.router.events import Events
from planner.router.guard_bounds import Count
from planner.router.guard_feedback import Feedback
from planner.router.guard_files import append, put
from planner.router.guard_rule import DRIFT, ENDS, all_routed, chances, ended, judged
from planner.router.guard_windows import Window, Windows
from planner.router.rollout import AppRollout, Guardrail, Rollout
from planner.router.tallies import SCALES, Outcome, Tallies
from planner.text.checks import load_jsonschema

__all__ = ["ROUTED", "UNROUTED", "Alarm", "Guard", "alarm_file"]

ROUTED, UNROUTED = "routed", ("holdout", "control")
#: [characters] of an app's name up to which its file is called by it.
_LONG = 100
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One finding.

    Parameters
    ----------
    guardrail, scale: what was counted, and since when: one of SCALES.
    routed, unrouted: what was counted of either arm; ``against``: ``unrouted`` or ``baseline``.
    above: lower bound of how far the routed rate is above the others'; ``margin``: how far it may be.
    alpha: the probability that this bound is ever too high; against the baseline, where others' is no more than DRIFT above that.
    """

    app: str
    guardrail: str
    scale: str
    routed: Count
    unrouted: Count
    against: str
    above: float
    margin: float
    alpha: float

    def state(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "routed": self.routed._asdict(), "unrouted": self.unrouted._asdict()}

    @property
    def text(self) -> str:
        """The finding in a sentence."""
        rates = f"{self.routed.rate:.2%} of {self.routed.n:,} routed answers, {self.unrouted.rate:.2%} of {self.unrouted.n:,} others"
        than = "the others" if self.against == "unrouted" else f"others within {100 * DRIFT:.0f} points of the log's baseline"
        points = f"at least {100 * self.above:.2f} points worse than {than} (margin {100 * self.margin:.2f})"
        return f"App {self.app!r}: {self.guardrail.replace('_', ' ')}: {rates}; routed are {points}; back to the default until resumed."


def alarm_file(state: Path, app: str) -> Path:
    """Return the file whose being there stops ``app``; whoever removes it resumes.

    >>> alarm_file(Path("state"), "a/b").as_posix()
    'state/alarms/a%2Fb.json'
    """
    name = quote(app.encode("utf-8", "surrogatepass"), safe="")
    if len(name) > _LONG:
        name = f"{name[:_LONG]}-{sha256(name.encode()).hexdigest()[:12]}"
    return state / "alarms" / f"{name}.json"


class Guard:
    """The guard of one process, ``worker``, over the folder ``state``; ``observe`` from any thread, ``tick`` from one every second."""

    def __init__(self, state: Path, worker: str) -> None:
        self.state, self.worker = state, worker
        self.events = Events(state / "events.jsonl", worker)
        self.alarmed: frozenset[str] = frozenset()
        self._tallies = Tallies(state / "counts", worker, self.events.count)
        self._windows = Windows(state / "windows.json", self.events.count)
        self._feedback = Feedback(state / "feedback.jsonl")
        self._limits_ms: Mapping[str, float | None] = {}
        self._now: Mapping[str, Window] = {}
        self._unwritten: dict[str, Alarm] = {}
        self._over: dict[str, Window] = {}
        self._ready = False
        self._version = ""

    def forked(self, worker: str) -> None:
        """Guard for another process."""
        self.worker = worker
        self.events.forked(worker)
        self._tallies.forked(worker)
        self._feedback.forked()

    def observe(self, app: str, arm: str, outcome: Outcome, ids: Sequence[str] = ()) -> None:
        """Count an answer of ``app``; ``ids`` are those that feedback may call it by. Other arms are not counted."""
        if (arm == ROUTED or arm in UNROUTED) and app in self._limits_ms and app not in self.alarmed:
            self._tallies.add(app, arm, outcome.hits(self._limits_ms[app]))
            self._feedback.remember(ids, app, arm)

    def tick(self, rollout: Rollout, version: str = "") -> None:
        """Write and merge the counts, test them, raise alarms; an error of one step is counted and ends no other.

        ``version``: of the router that decides; the counts of another one are not these.
        """
        self._version = version
        apps = {name: app for name, app in rollout.apps.items() if app.guardrails}
        for step in (self._see, self._begin, self._hear, self._count, self._judge):
            try:
                step(rollout, apps)
            except Exception as error:
                self.events.count(f"guard {step.__name__.strip('_')}", error)
        self.events.flush()

    def _see(self, rollout: Rollout, apps: Mapping[str, AppRollout]) -> None:
        """See which apps are stopped; what could not be written before is tried again, and holds here meanwhile."""
        for alarm in [*self._unwritten.values()]:
            self._write(alarm)
        found = {app for app in rollout.apps if alarm_file(self.state, app).exists()}
        self.alarmed = frozenset(found | {*self._unwritten})

    def _begin(self, rollout: Rollout, apps: Mapping[str, AppRollout]) -> None:
        """Count for these apps, each under its settings."""
        now = self._windows.under({name: _mark(rollout, app, self._version) for name, app in apps.items()})
        self._feedback.forget({name for name, old in self._now.items() if name not in now or now[name].start != old.start})
        self._tallies.begin(now)
        self._now = now
        self._limits_ms = {name: app.guardrails["slow"].limit_ms if "slow" in app.guardrails else None for name, app in apps.items()}
        if not self._ready and any("schema" in app.guardrails for app in apps.values()):
            self._ready = True
            try:
                load_jsonschema()  # before the first answer to one, which must not wait for it
            except MissingExtraError:
                self.events.count("guardrail schema", "jsonschema is not installed: answers to a JSON schema are not counted")
                _LOG.warning("The guardrail 'schema' does not count answers to a JSON schema: jsonschema is not installed.")

    def _hear(self, rollout: Rollout, apps: Mapping[str, AppRollout]) -> None:
        thumbs, bad = self._feedback.thumbs()
        for app, arm, down in thumbs:
            self._tallies.add(app, arm, {"thumbs_down": down})
        for _ in range(bad):
            self.events.count("feedback", "a line that is no thumb")

    def _count(self, rollout: Rollout, apps: Mapping[str, AppRollout]) -> None:
        self._tallies.flush()
        self._tallies.read()
        self._tallies.fold(self._now)

    def _judge(self, rollout: Rollout, apps: Mapping[str, AppRollout]) -> None:
        for name, window in self._now.items():
            if self._over.get(name) == window:  # other processes were at the file when it should have ended
                self._windows.anew(name, window)
            elif name not in self.alarmed:
                counts, alone = self._tallies.of(name, window), all_routed(rollout, apps[name])
                alarm = next(_alarms(name, apps[name].guardrails, window, counts, alone), None)
                effect = apps[name].guardrails["error"].effect if "error" in apps[name].guardrails else 1.0
                errors = {scale: _arms(counts[scale], "error") for scale in ENDS}
                over = [scale for scale, (own, others) in errors.items() if ended(scale, own.over(effect), others.over(effect), alone)]
                if alarm is not None:
                    self._raise(alarm, window)
                elif over:
                    self._windows.full(name, window, over)

    def _raise(self, alarm: Alarm, window: Window) -> None:
        """Stop an app here at once, and everywhere by a file; its counts end, so that resuming begins anew."""
        self.alarmed |= {alarm.app}
        if not alarm_file(self.state, alarm.app).exists():
            self._unwritten[alarm.app] = alarm
            self._write(alarm)
            _LOG.warning("%s", alarm.text)
        self._over[alarm.app] = window
        self._windows.anew(alarm.app, window)

    def _write(self, alarm: Alarm) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        about = {"at": at, "worker": self.worker, **alarm.state()}
        try:
            put(alarm_file(self.state, alarm.app), json.dumps({**about, "text": alarm.text}, indent=1) + "\n")
            del self._unwritten[alarm.app]
            append(self.state / "events.jsonl", json.dumps({"event": "alarm", **about}))
        except OSError as error:
            self.events.count("alarm not written", error)


def _alarms(
    app: str, guardrails: Mapping[str, Guardrail], window: Window, counts: Mapping[str, Mapping[str, Count]], alone: bool
) -> Iterator[Alarm]:
    """Yield what the counts of an app give reason for, at what each guardrail and scale may use."""
    for scale in SCALES:
        most = chances(scale, getattr(window, scale), len(guardrails))
        for name, guardrail in guardrails.items():
            routed, unrouted = _arms(counts[scale], name)
            if found := judged(routed, unrouted, guardrail, most, alone=alone):
                yield Alarm(app, name, scale, routed, unrouted, *found, guardrail.margin, most.alpha)


def _arms(counts: Mapping[str, Count], metric: str) -> tuple[Count, Count]:
    """Return the counts of routed and of unrouted answers."""
    unrouted = Count()
    for arm in UNROUTED:
        unrouted = unrouted.plus(counts.get(f"{arm} {metric}", Count()))
    return counts.get(f"{ROUTED} {metric}", Count()), unrouted


def _mark(rollout: Rollout, app: AppRollout, version: str) -> str:
    """Return eight digits over what decides who is routed, where to and what is tested: under anything else the counts begin anew.

    Arms whose shares change are not comparable over the whole: who came in a bad hour would be in one of them more often.
    """
    values = [rollout.salt, rollout.holdout, asdict(app), version]
    return sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]
