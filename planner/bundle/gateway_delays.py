"""How soon the guardrails would stop an app whose routing does harm: what a holdout buys, said before it is chosen.

In: a guardrail, how much more often routed answers might be bad, the share that is routed, requests a day. Out: the requests and days to
the alarm, all estimated: the production's own rule over counts as they are on average, in an app whose log is right. By chance it comes
sooner in about half of such rollouts and later in the others, in one of twenty after up to about twice as many. Knows nothing of gateways
or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from planner.router.guard_bounds import Count
from planner.router.guard_rule import ENDS, LEAST, Chances, chances, sure
from planner.router.rollout import Guardrail, Rollout

__all__ = ["HARMS", "HOLDOUTS", "Delay", "delays", "requests_to_alarm"]

#: Shares of answers that might be bad beyond the baseline, and holdouts beside the rollout's own: choices.
HARMS, HOLDOUTS = (0.05, 0.3), (0.01, 0.05, 0.1)
#: Requests after which nobody waits any more; how near a number of requests is to be found.
_NEVER, _NEAR = 10_000_000.0, 1.01


@dataclass(frozen=True, slots=True)
class Delay:
    """How long routed answers of ``app`` would go on failing by ``harm`` more, once it is ``active`` with this ``holdout``.

    Parameters
    ----------
    holdout, harm: shares from 0 to 1. requests: of both arms, to the alarm; None for never. days: that they take; None where unknown.
    """

    app: str
    holdout: float
    harm: float
    requests: int | None
    days: float | None
    evidence: str = "estimated"


def delays(rollout: Rollout, requests_per_day: Mapping[str, float]) -> tuple[Delay, ...]:
    """Return the delays of every app of ``rollout`` whose errors are guarded and whose log had some baseline: by holdout, then by harm.

    Parameters
    ----------
    requests_per_day: app → its users' own requests; an app that is missing has no days.

    >>> from planner.router.rollout import AppRollout
    >>> app = AppRollout("shadow", guardrails={"error": Guardrail(margin=0.02, baseline=0.01)})
    >>> found = delays(Rollout("3f9a01c2", holdout=0.05, apps={"chat": app}), {"chat": 1_000.0})
    >>> [(d.holdout, d.harm, d.requests, round(d.days, 1)) for d in found[2:4]]
    [(0.05, 0.05, 12734, 12.7), (0.05, 0.3, 278, 0.3)]
    """
    guarded = {name: app.guardrails for name, app in rollout.apps.items() if "error" in app.guardrails}
    found = []
    for name, own in guarded.items():
        for holdout in sorted({rollout.holdout, *HOLDOUTS}):
            for harm in HARMS if own["error"].baseline is not None else ():
                requests, per_day = requests_to_alarm(harm, own["error"], 1 - holdout, len(own)), requests_per_day.get(name)
                found.append(Delay(name, holdout, harm, requests, requests / per_day if requests and per_day else None))
    return tuple(found)


def requests_to_alarm(harm: float, guardrail: Guardrail, routed: float, guardrails: int) -> int | None:
    """Return the requests, of both arms, after which routed answers that are bad by ``harm`` more often stop an app; None for never.

    Parameters
    ----------
    harm: share that is added to the baseline. routed: share of the requests. guardrails: how many the app has. Where bad answers come in
    sessions, by the guardrail's design effect, so do these.

    >>> limit = Guardrail(margin=0.02, baseline=0.01)
    >>> [requests_to_alarm(harm, limit, 0.95, 5) for harm in (0.01, 0.05, 0.3)]
    [None, 15023, 278]
    >>> requests_to_alarm(0.3, Guardrail(margin=0.02, baseline=0.01, design_effect=10.0), 0.95, 5)
    2785
    """
    held = guardrail.baseline
    if held is None or harm <= guardrail.margin:
        return None

    def alarms(most: Chances) -> Callable[[float], bool]:
        def at(effective: float) -> bool:
            own, others = effective * routed, effective * (1 - routed)
            seen = Count(own, own * min(held + harm, 1.0)), Count(others, others * held)
            return seen[0].hits * guardrail.effect >= LEAST and sure(*seen, held, guardrail.margin, most, routed == 1)

        return at

    least, both = ENDS["short"]
    end = max(least / max(min(routed, 1 - routed) or routed, 1 / _NEVER), both)
    first = _first(alarms(chances("short", 1, guardrails)), end) or _first(alarms(chances("start", 1, guardrails)), _NEVER)
    return None if first is None else round(first * guardrail.effect)


def _first(alarm: Callable[[float], bool], most: float) -> float | None:
    """Return the least number of effective requests at which there is an alarm, None where there is none up to ``most``."""
    low, high = 1.0, most
    if not alarm(high):
        return None
    while high > _NEAR * low:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if alarm(middle) else (middle, high)
    return high
