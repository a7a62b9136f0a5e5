"""What is broken around a gateway during a load test, and what its clients must see then.

In: a running proxy with the hook, its folder, its upstream. Out: per fault what was expected and what was counted: errors and fallbacks
that clients saw, requests sent elsewhere than planned, answers and errors that the guard counted, and what the hook noted. Linux alone:
a full disk is a limit of the process. Knows nothing of latency or memory.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.gateway_stage import JUMP_S, Proxy, Upstream, load
from benchmarks.gateway_traffic import Traffic
from planner.router.live import STOP
from planner.router.rollout import write
from planner.router.status import status

T = TypeVar("T")
#: Requests of each fault, and clients beside each other then.
FAULTY, CLIENTS = 96, 8
#: [s] after which a change is noticed, after which a stop must hold, that counts may take to be written, and that a full disk stays so.
SETTLE_S, STOP_S, COUNTED_S, HELD_S = 1.5, 5.0, 15.0, 3.0


@dataclass(frozen=True)
class Fate:
    """What is planned of a request: the status that its client sees, the group that answers, fallbacks, whether the guard counts it."""

    status: int
    group: str
    fallbacks: int = 0
    counted: bool = True


@dataclass(frozen=True)
class Fault:
    """What is broken while ``broken`` is entered, the fate of a request by the model it goes to, and the events that are noted."""

    name: str
    broken: AbstractContextManager[object]
    plan: Callable[[str], Fate]
    noted: tuple[str, ...] = ()


@dataclass
class Breaking:
    """A proxy whose surroundings are broken, one thing after the other; ``rows`` holds what was expected and what was counted."""

    traffic: Traffic
    hooked: Proxy
    folder: Path
    requests: int = FAULTY
    asked: int = 2 * 10**6
    rows: list[dict[str, Any]] = field(default_factory=list)

    def under(self, fault: Fault) -> None:
        """Ask while something is broken; count once it is whole again, since nothing can be written on a full disk."""
        asks = [self.traffic.ask(self.asked + i) for i in range(self.requests)]
        self.asked += self.requests
        fates = [fault.plan(self.traffic.planned(ask)) for ask in asks]
        expected = {
            "client_errors": sum(f.status != 200 for f in fates),
            "other_status": 0,
            "fallbacks": sum(f.fallbacks for f in fates),
            "sent_elsewhere": 0,
            "answers_counted": sum(f.counted for f in fates),
            "errors_counted": sum(f.counted and (f.status != 200 or f.fallbacks > 0) for f in fates),
            "noted": sorted(fault.noted),
        }
        before, noted = answers_in(self.folder), noted_in(self.folder)
        with fault.broken:
            replies = load(self.hooked, asks, CLIENTS)
        unplanned = [
            (r, f) for r, f in zip(replies, fates, strict=True) if r.status != f.status or (r.status == 200 and r.group != f.group)
        ]
        seen = {
            "client_errors": sum(r.status != 200 for r in replies),
            "other_status": sum(r.status != f.status for r, f in unplanned),
            "fallbacks": sum(r.fallbacks for r in replies),
            "sent_elsewhere": sum(r.status == f.status for r, f in unplanned),
        }

        def counted() -> dict[str, Any]:
            answers = {f"{name}_counted": n - before[name] for name, n in answers_in(self.folder).items()}
            return {**seen, **answers, "noted": sorted(noted_in(self.folder) - noted)}

        row = {"fault": fault.name, "requests": self.requests, "expected": expected, "counted": awaited(counted, expected)}
        about = {"times_noted": dict(noted_in(self.folder) - noted), "unplanned": [r.said for r, _ in unplanned[:3]]}
        self.rows.append({**row, **about})


def awaited(read: Callable[[], T], expected: T) -> T:
    """Return what is read as soon as it is what was expected, and after COUNTED_S whatever it is; something always may yet come."""
    end = time.monotonic() + COUNTED_S
    while True:
        time.sleep(SETTLE_S)
        if (found := read()) == expected or time.monotonic() > end:
            return found


def faults(traffic: Traffic, hooked: Proxy, folder: Path, upstream: Upstream) -> list[dict[str, Any]]:
    """Break one thing after the other; return what was expected and what was counted."""
    breaking = Breaking(traffic, hooked, folder)
    for fault in _faults(traffic, hooked, folder, upstream):
        breaking.under(fault)
    return breaking.rows


def _faults(traffic: Traffic, hooked: Proxy, folder: Path, upstream: Upstream) -> Iterator[Fault]:
    reference = traffic.router.reference
    cheap = [m for m in traffic.router.candidates if m != reference]
    bundle, rollout, state = (folder / name for name in ("bundle", "rollout.json", "state"))
    refused, unreadable = ("bundle refused",), ("rollout unreadable",)
    unseen = ("counts not written", "guard count", "guard hear", "say", "windows unreadable")

    def goes(model: str) -> Fate:
        return Fate(200, model)

    def falls_back(model: str) -> Fate:
        return Fate(200, reference, int(model in cheap))

    def as_asked(_: str) -> Fate:
        return Fate(200, reference, counted=False)

    yield Fault("none", nullcontext(), goes)
    for name, fault in (
        ("429 storm", "429"),
        ("500", "500"),
        ("503", "503"),
        ("garbage", "garbage"),
        ("time-outs", "slow"),
        ("broken connections", "cut"),
    ):
        yield Fault(f"{name} of the cheaper models", failing(upstream, dict.fromkeys(cheap, fault)), falls_back)
    yield Fault("429 storm of every model", failing(upstream, dict.fromkeys([*cheap, reference], "429")), lambda _: Fate(429, ""))
    yield Fault("upstream killed", killed(upstream), lambda _: Fate(500, ""))
    yield Fault("upstream back", nullcontext(), goes)
    yield Fault("bundle deleted", moved(bundle, folder / "away"), goes, refused)
    yield Fault("bundle half-written", halved(bundle / "weights.npz"), goes, refused)
    yield Fault("rollout half-written", halved(rollout), goes, unreadable)
    yield Fault("disk full", held(full_disk(hooked.pid)), goes, ("counts not written", "say"))
    yield Fault("state cannot be written", held(blocked(state, folder / "state-away")), goes, unseen)
    yield Fault("stopped by STOP", stopped(folder), as_asked)
    yield Fault("clock jumped ahead, stopped then", ahead(traffic, hooked, rollout), as_asked)
    yield Fault("clock back, resumed by a file of 2001", nullcontext(), goes)
    yield Fault("rollout deleted", moved(rollout, folder / "rollout-away", STOP_S), as_asked)
    yield Fault("all back", nullcontext(), goes)


@contextmanager
def held(broken: AbstractContextManager[object]) -> Iterator[None]:
    """Let something stay broken for longer than a process goes without writing counts or a sign of life."""
    with broken:
        yield
        time.sleep(HELD_S)


@contextmanager
def failing(upstream: Upstream, models: Mapping[str, str]) -> Iterator[None]:
    """Let models fail for a while, model → fault."""
    upstream.fail(models)
    yield
    upstream.fail({})


@contextmanager
def killed(upstream: Upstream) -> Iterator[None]:
    """Let there be no upstream for a while."""
    upstream.kill()
    yield
    upstream.revive()


@contextmanager
def moved(path: Path, away: Path, wait_s: float = SETTLE_S) -> Iterator[None]:
    """Take a file or folder away for a while, long enough for the proxy to notice."""
    path.rename(away)
    time.sleep(wait_s)
    try:
        yield
    finally:
        away.rename(path)
        time.sleep(wait_s)


@contextmanager
def blocked(path: Path, away: Path) -> Iterator[None]:
    """Let a file stand where a folder was, at once, for its user would make it anew."""
    path.rename(away)
    path.write_bytes(b"")
    try:
        yield
    finally:
        path.unlink()
        away.rename(path)


@contextmanager
def halved(path: Path) -> Iterator[None]:
    """Let a file hold its first half alone for a while."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    time.sleep(SETTLE_S)
    try:
        yield
    finally:
        path.write_bytes(whole)


@contextmanager
def stopped(folder: Path) -> Iterator[None]:
    """Let the file STOP be there for a while."""
    (folder / STOP).touch()
    time.sleep(STOP_S)
    try:
        yield
    finally:
        (folder / STOP).unlink()
        time.sleep(STOP_S)


@contextmanager
def ahead(traffic: Traffic, hooked: Proxy, rollout: Path) -> Iterator[None]:
    """Let the clock be thirty days ahead for a while, with a rollout of then that says stop; then, with the clock, one of 2001."""
    hooked.jump_clock()
    _dated(rollout, traffic, True, time.time() + JUMP_S)
    try:
        yield
    finally:
        hooked.jump_clock()
        _dated(rollout, traffic, False, 1e9)


def _dated(path: Path, traffic: Traffic, stop: bool, at: float) -> None:
    """Write a rollout as if at the time ``at`` [s since 1970], and wait until it must hold."""
    write(path, replace(traffic.rollout, stop=stop))
    os.utime(path, (at, at))
    time.sleep(STOP_S)


@contextmanager
def full_disk(pid: int = 0) -> Iterator[None]:
    """Let every write of a process into a file fail, as on a full disk; 0 is this process."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def noted_in(folder: Path) -> Counter[str]:
    """Return how often each event was written down."""
    found = Counter[str]()
    for (event, _), n in status(folder).events.items():
        found[event] += n
    return found


def answers_in(folder: Path) -> dict[str, int]:
    """Return the answers, and the errors among them, that the guard counted and wrote down, over all apps and arms."""
    counts = [c for app in status(folder).counts.values() for name, c in app.items() if name.endswith(" error")]
    return {"answers": sum(c.n for c in counts), "errors": sum(c.hits for c in counts)}
