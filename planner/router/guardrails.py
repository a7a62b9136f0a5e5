"""Guardrails: stop routing an app whose routed answers are worse than those that were left alone.

In: answers with their arm, thumbs, the rollout's margins. Out: alarms, as files that every process of the gateway sees, after which the
app goes back to where it was asked until somebody takes the file away. Who is routed is drawn, so the arms differ in nothing but
the routing: ``routed`` is tested against ``holdout`` and ``control`` together, whatever the log said. The log's baseline serves only while
nothing at all was left alone, as with a holdout of 0: then a rate is an alarm only DRIFT above what would be one, since nobody can tell
a routing that does harm from a day that is worse than the log. All that is routed counts, also what the router leaves where it was: a
margin is one of the app. The counts are tested every second, since the start of the settings and in windows that end when the smaller
arm has WINDOW answers, so that what goes wrong after a long good time is found too. All false alarms of an app, over all metrics, looks,
windows, restarts and changes of the rollout, together have the probability LEVEL at most, where answers fail independently of each
other, and, without any left alone, today's rate is no more than DRIFT above the log's. That a few of one session fail together is no
alarm by itself: there must be LEAST bad ones (``benchmarks/guardrails.py`` measures all of this). Knows nothing of gateways.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.util import find_spec
from math import log
from pathlib import Path
from typing import Any
from urllib.parse import quote

from planner.router.events import Events
from planner.router.guard_bounds import Count, evidence, evidence_above, excess, lower
from planner.router.guard_feedback import Feedback
from planner.router.guard_files import append, put
from planner.router.guard_windows import Window, Windows, spent
from planner.router.rollout import AppRollout, Guardrail, Rollout
from planner.router.tallies import SCALES, Outcome, Tallies

__all__ = ["DRIFT", "LEAST", "LEVEL", "ROUTED", "UNROUTED", "WINDOW", "Alarm", "Guard", "alarm_file", "judged"]

#: The probability that an app without any fault is ever stopped.
LEVEL = 0.01
#: How far today's rate may be above the log's where nothing was left alone to measure it: a choice; traffic changes as much by itself.
DRIFT = 0.10
#: Answers of the smaller arm that end a window.
WINDOW = 5_000
#: Bad routed answers without which there is no alarm.
LEAST = 20
ROUTED, UNROUTED = "routed", ("holdout", "control")
#: [characters] of an app's name up to which its file is called by it.
_LONG = 100
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One finding.

    Parameters
    ----------
    guardrail, scale: what was counted, and since when: ``start`` or ``window``.
    routed, unrouted: what was counted of either arm; ``against``: ``unrouted`` or ``baseline``.
    above: lower bound of how far the routed rate is above the other; ``margin``: how far it may be, DRIFT aside.
    alpha: the probability that this bound is ever too high.
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
        than = "the others" if self.against == "unrouted" else "the log's baseline"
        points = f"at least {100 * self.above:.2f} points worse than {than} (margin {100 * self.margin:.2f})"
        return f"App {self.app!r}: {self.guardrail.replace('_', ' ')}: {rates}; routed are {points}; back to the default until resumed."


def judged(routed: Count, unrouted: Count, guardrail: Guardrail, alpha: float, *, alone: bool = True) -> tuple[str, float] | None:
    """Return against what the routed rate is too high, and by how much at least; None while that is not sure.

    Parameters
    ----------
    alpha: the probability of ever being wrong, however often this is asked.
    alone: whether the baseline may stand for unrouted answers where there are none.

    >>> against, above = judged(Count(2_100, 126), Count(2_100, 21), Guardrail(margin=0.02, baseline=0.01), 0.0005)
    >>> against, round(above, 4)
    ('unrouted', 0.0203)
    """
    enough, margin = -log(alpha), guardrail.margin
    if routed.hits < LEAST:
        return None
    if unrouted.n:
        return ("unrouted", max(excess(routed, unrouted, alpha), margin)) if evidence(routed, unrouted, margin) >= enough else None
    if not alone or guardrail.baseline is None or evidence_above(routed, guardrail.baseline + margin + DRIFT) < enough:
        return None
    return "baseline", max(lower(routed, alpha) - guardrail.baseline, margin + DRIFT)


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
        self._warned = False

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

    def tick(self, rollout: Rollout) -> None:
        """Write and merge the counts, test them, raise alarms; an error of one step is counted and ends no other."""
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
        now = self._windows.under({name: _mark(rollout, app) for name, app in apps.items()})
        self._feedback.forget({name for name, old in self._now.items() if name not in now or now[name].start != old.start})
        self._tallies.begin(now)
        self._now = now
        self._limits_ms = {name: app.guardrails["slow"].limit_ms if "slow" in app.guardrails else None for name, app in apps.items()}
        if not self._warned and any("schema" in app.guardrails for app in apps.values()) and find_spec("jsonschema") is None:
            self._warned = True
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
        self._tallies.forget(self._now)

    def _judge(self, rollout: Rollout, apps: Mapping[str, AppRollout]) -> None:
        for name, window in self._now.items():
            if self._over.get(name) == window:  # other processes were at the file when it should have ended
                self._windows.anew(name, window)
            elif name not in self.alarmed:
                counts = self._tallies.of(name, window)
                alarm = next(_alarms(name, apps[name].guardrails, window, counts), None)
                if alarm is not None:
                    self._raise(alarm, window)
                elif min(_arms(counts["window"], "error"), key=lambda c: c.n).n >= WINDOW:
                    self._windows.full(name, window)

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


def _alarms(app: str, guardrails: Mapping[str, Guardrail], window: Window, counts: Mapping[str, Mapping[str, Count]]) -> Iterator[Alarm]:
    """Yield what the counts of an app give reason for, at its share of LEVEL for each guardrail and scale."""
    for scale in SCALES:
        alpha = LEVEL / len(SCALES) / len(guardrails) * spent(getattr(window, scale))
        for name, guardrail in guardrails.items():
            routed, unrouted = _arms(counts[scale], name)
            if found := judged(routed, unrouted, guardrail, alpha, alone=scale == "start"):
                yield Alarm(app, name, scale, routed, unrouted, *found, guardrail.margin, alpha)


def _arms(counts: Mapping[str, Count], metric: str) -> tuple[Count, Count]:
    """Return the counts of routed and of unrouted answers."""
    unrouted = Count()
    for arm in UNROUTED:
        unrouted = unrouted.plus(counts.get(f"{arm} {metric}", Count()))
    return counts.get(f"{ROUTED} {metric}", Count()), unrouted


def _mark(rollout: Rollout, app: AppRollout) -> str:
    """Return eight digits over what decides who is routed and what is tested: under other settings the counts begin anew.

    Arms whose shares change are not comparable over the whole: who came in a bad hour would be in one of them more often.
    """
    values = [rollout.salt, rollout.holdout, asdict(app)]
    return sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]
