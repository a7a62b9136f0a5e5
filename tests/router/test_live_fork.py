"""A gateway that loads the hook and then forks its workers: each is a process of its own."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from support.steered import exported, rollout

from planner.router.guard_bounds import Count
from planner.router.live import Live
from planner.router.rollout import Guardrail
from planner.router.status import status
from planner.router.tallies import Outcome


def test_a_forked_process_counts_for_itself(tmp_path: Path) -> None:
    """Three processes forked from one that had counted, while its locks are held, each write counts of their own; all add up."""
    folder = exported(tmp_path / "exported", rollout("active", guardrails={"error": Guardrail(0.9, 0.1)}))
    live = Live(folder)
    live._ticked = -10.0
    live._beat()
    live.guard.observe("chat", "routed", Outcome(False, None, False, None))
    children = []
    with warnings.catch_warnings(), live.guard._tallies._lock, live._rollout._lock, live.events._lock, live._pulse._starting:
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, as a gateway's
        for more in range(3):
            child = os.fork()
            if child == 0:
                _in_child(live, 100 + more)
            children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    live._ticked = -10.0
    live._beat()
    assert status(folder).counts["chat"]["routed error"] == Count(1 + 100 + 101 + 102, 0)
    assert len([*(folder / "state" / "counts").iterdir()]) == len(status(folder).workers) == 4


def _in_child(live: Live, answers: int) -> None:
    """Count so many answers and end, without a word of what the test began."""
    try:
        for _ in range(answers):
            live.guard.observe("chat", "routed", Outcome(False, None, False, None))
        live._ticked = -10.0
        assert live.fresh()._pulse._thread is not None
        live._beat()
        os._exit(0)
    finally:
        os._exit(1)
