"""Non-inferiority: whether a plan is shown to lose no more quality than a stated margin.

In: a difference of quality with its interval, and the margin. Out: yes, no or not shown, and the sentence; and which levers of a plan
change answers in a way that no label measured, so that no margin can be shown for them. Knows nothing of money.
"""

from __future__ import annotations

from collections.abc import Collection

from planner.policies import Plan
from planner.simulation import World
from planner.stats import Estimate

__all__ = ["noninferior", "statement", "unmeasured"]

#: Levers under which some answers are other answers than any that was graded.
_OTHER_ANSWERS = ("micro_batch", "semantic_cache")


def noninferior(difference: Estimate, margin: float) -> str:
    """Return ``yes``, ``no``, ``not shown``, or ``unknown`` where there is no interval.

    The test is the interval's: at 95 % both ways, each side errs in one case of forty (ICH E9, 1998, §3.3.2; Piaggio et al., *JAMA*
    308, 2012).

    >>> [noninferior(Estimate(-0.01, low, high, "estimated"), 0.02) for low, high in ((-0.015, 0), (-0.03, 0.01), (-0.05, -0.03))]
    ['yes', 'not shown', 'no']
    """
    if difference.low is None or difference.high is None:
        return "unknown"
    return "yes" if difference.low >= -margin else "no" if difference.high < -margin else "not shown"


def statement(name: str, difference: Estimate, margin: float, against: str = "the log") -> str:
    """Say in one sentence what is shown of a plan's quality.

    >>> print(statement("routed", Estimate(-0.004, -0.03, 0.022, "estimated", n=400, source="labels"), 0.02))
    'routed' is not shown to lose no more than 0.02 of quality against the log: -0.0040 [-0.0300, +0.0220]; about 1,100 labels \
would show it if the difference stays.
    """
    found = noninferior(difference, margin)
    shown = difference.format("+.4f").removesuffix(f" {difference.evidence}")
    if found == "unknown":
        return f"Of '{name}' no loss of quality can be ruled out: no held-out label tells it."
    if found == "yes":
        return f"'{name}' is not inferior to {against} by the margin of {margin:g} of quality: {shown} (one-sided, 97.5 %)."
    if found == "no":
        return f"'{name}' loses more than {margin:g} of quality against {against}: {shown}."
    more = needed(difference, margin)
    rest = f"about {more:,} labels would show it if the difference stays" if more else "no number of labels would show it if it stays"
    return f"'{name}' is not shown to lose no more than {margin:g} of quality against {against}: {shown}; {rest}."


def needed(difference: Estimate, margin: float) -> int:
    """Return how many labels would bring the lower limit to the margin if the difference stays as it is; 0: none would.

    Half the interval shrinks with the root of the labels; given to two digits.
    """
    spare = difference.value + margin
    if spare <= 0 or difference.low is None or not difference.n:
        return 0
    exact = difference.n * ((difference.value - difference.low) / spare) ** 2
    digits = max(len(str(round(exact))) - 2, 0)
    unit: int = 10**digits
    return round(exact / unit + 0.5) * unit


def unmeasured(world: World, plan: Plan) -> tuple[str, ...]:
    """Return the levers of ``plan`` whose effect on answers no label measured, in words; under them quality is assumed as it was."""
    answers = world.outcomes.answers
    variants: Collection[str] = () if answers is None else set(answers.outcomes["prompt_variant"].dropna())
    found = []
    for lever in plan.levers:
        assumes = getattr(lever, "assumes_quality", None)
        if lever.key in _OTHER_ANSWERS or (assumes is not None and assumes(variants)):
            found.append(lever.words())
    return tuple(found)
