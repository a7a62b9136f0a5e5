"""The rule of the guardrails: what counts of routed and of other answers are an alarm, and with what probability a false one.

In: the counts of both arms, a guardrail, how many tests there have been. Out: an alarm or none. Who is routed is drawn, so the arms differ
in nothing but the routing. For every rate that the others may truly have the evidence is weighed that the routed rate is more than the
margin above it: it is an alarm where the evidence is 1/α against each of those up to DRIFT above the log's baseline, and 1/β against each
that is higher. The guarantee: all false alarms of an app, over all metrics, looks, windows, restarts and changes of rollout or router,
together have the probability LEVEL at most where no rate is more than DRIFT above the log's, and STALE more for each guardrail of which it
is; α and β are what one test may use of the two. So a harm far beyond DRIFT is found before the others could prove it alone, a rise of both
arms is not blamed on the routing, and where the others are many the log costs and gives nothing. Where none are left alone, by the settings
or among NONE_LEFT answers, the log is the only yardstick and STALE does not hold.

Arms are drawn by session, and the answers of one often fail together. So counts are divided by their guardrail's design effect, how many
times as much the log's bad answers vary for that, before anything is asked of them. What is guaranteed holds exactly for answers that fail
independently (an effect of 1). Otherwise it is a close approximation, and none where sessions fail together more than in the log, as those
of one user, one tool or one minute may: ``benchmarks/guardrails.py`` measures it with sessions that fail as a whole. There must be LEAST
bad answers in any case. Knows nothing of processes or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from typing import NamedTuple

from planner.router.guard_bounds import Count, evidence, excess
from planner.router.guard_windows import spent
from planner.router.rollout import AppRollout, Guardrail, Rollout
from planner.router.tallies import SCALES

__all__ = ["DRIFT", "ENDS", "LEAST", "LEVEL", "NONE_LEFT", "STALE", "Chances", "all_routed", "chances", "ended", "judged", "sure"]

#: The probability that an app without any fault is ever stopped, and what a guardrail adds of which the log is off by over DRIFT.
LEVEL, STALE = 0.01, 0.2
#: How far today's rate may be above the log's without a fault: a choice; traffic changes as much by itself.
DRIFT = 0.10
#: Bad routed answers without which there is no alarm; effective routed ones after which, with no other among them, none are left alone.
LEAST, NONE_LEFT = 20, 1_000
#: Effective answers of the smaller arm, and of both together, that end a window.
ENDS: Mapping[str, tuple[int, int]] = {"window": (5_000, 0), "short": (200, 1_000)}


class Chances(NamedTuple):
    """The probabilities that one test is ever wrong: ``alpha`` where the log is off by DRIFT at most, ``stale`` where it is by more."""

    alpha: float
    stale: float


def chances(scale: str, number: int, guardrails: int) -> Chances:
    """Return what test ``number`` (from 1) of a scale may use, of an app with so many ``guardrails``.

    STALE is for short windows alone: a harm so large shows in one.

    >>> [tuple(round(p, 6) for p in chances(scale, 1, 5)) for scale in ("start", "short")]
    [(0.000333, 0.000333), (0.000333, 0.1)]
    """
    alpha = LEVEL / len(SCALES) / guardrails * spent(number)
    return Chances(alpha, STALE * spent(number) if scale == "short" else alpha)


def all_routed(rollout: Rollout, app: AppRollout) -> bool:
    """Say whether the settings leave nobody alone: there is no holdout, and all others are routed."""
    return not rollout.holdout and (app.mode == "active" or (app.mode == "canary" and app.share == 1))


def ended(scale: str, routed: Count, unrouted: Count, alone: bool) -> bool:
    """Say whether a window has the answers that end it; counts are effective ones, lest a window is too short for any alarm.

    >>> ended("short", Count(1_800), Count(200), alone=False), ended("short", Count(1_800), Count(0), alone=False)
    (True, False)
    """
    least, both = ENDS[scale]
    smaller = routed.n if alone else min(routed.n, unrouted.n)
    return smaller >= least and routed.n + unrouted.n >= both


def sure(routed: Count, unrouted: Count, held: float | None, margin: float, most: Chances, none_left: bool) -> bool:
    """Say whether the routed rate is surely more than ``margin`` above the others', of which the log ``held`` a rate, None for none.

    Counts are effective ones. The two ranges of the others' rate are only ever asked together, or the nearer alone (see ``evidence``).
    """
    limit = 1.0 if held is None else held + DRIFT
    near = evidence(routed, unrouted, margin, held, (0.0, limit)) >= -log(most.alpha)
    return near and (none_left or evidence(routed, unrouted, margin, held, (limit, 1.0)) >= -log(most.stale))


def judged(routed: Count, unrouted: Count, guardrail: Guardrail, most: Chances, *, alone: bool = False) -> tuple[str, float] | None:
    """Return against what the routed rate is too high, and by how much at least; None while that is not sure.

    Parameters
    ----------
    most: the probabilities of ever being wrong, however often this is asked. alone: whether the settings leave nobody alone.

    Counts are of answers, of which the guardrail's design effect says how many count as one. Against the ``unrouted`` it is sure at α
    whatever the log says; against the ``baseline``, as far as the log is off by DRIFT at most.

    >>> against, above = judged(Count(2_100, 126), Count(2_100, 21), Guardrail(margin=0.02, baseline=0.01), chances("start", 1, 5))
    >>> against, round(above, 4)
    ('unrouted', 0.0222)
    >>> limit = Guardrail(margin=0.02, baseline=0.01, design_effect=2.0)
    >>> judged(Count(2_100, 126), Count(2_100, 21), limit, chances("start", 1, 5)) is None
    True
    """
    own, others = routed.over(guardrail.effect), unrouted.over(guardrail.effect)
    none_left = not others.n and (alone or own.n >= NONE_LEFT)

    def rule(most: Chances, none_left: bool) -> Callable[[float], bool]:
        return lambda margin: sure(own, others, guardrail.baseline, margin, most, none_left)

    ever, as_logged = rule(Chances(most.alpha, most.alpha), False), rule(most, none_left)
    if routed.hits < LEAST or not as_logged(guardrail.margin):
        return None
    against, found = ("unrouted", ever) if ever(guardrail.margin) else ("baseline", as_logged)
    return against, max(excess(routed.rate - unrouted.rate, found), guardrail.margin)
