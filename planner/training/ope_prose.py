"""What off-policy estimates say in words.

In: an OffPolicy. Out: a paragraph: what the router would be worth, against what the log earned itself, which estimator that is,
and how far to trust it. Knows nothing of how the numbers came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.stats import Estimate
    from planner.training.off_policy import OffPolicy

__all__ = ["told"]


def told(found: OffPolicy) -> str:
    """Return the paragraph; DR is what it reads."""
    lead = {"estimate": _estimate, "few": _estimate, "none": _refusal, "bounds": _bounds}[found.verdict](found)
    return " ".join(s for s in (lead, _weights(found), _kept(found), _left_out(found)) if s)


def _shown(found: OffPolicy, number: Estimate, sign: str = "") -> str:
    digits, unit = ("{:" + sign + ".4f}", "") if found.reward == "quality" else ("{:" + sign + ".4g}", " USD")
    between = "" if number.low is None else f" [{digits.format(number.low)}, {digits.format(number.high)}]"
    return f"{digits.format(number.value)}{unit}{between}"


def _where(found: OffPolicy) -> str:
    policy = f" of policy {', '.join(found.policies)}" if found.policies else ""
    sessions = "" if found.sessions == found.requests else f" in {found.sessions:,} sessions"
    return f"{found.requests:,} requests{sessions}{policy} with a known {found.reward}"


def _logged(found: OffPolicy) -> str:
    return f"{_shown(found, found.value('logged'))} (measured)"


def _estimate(found: OffPolicy) -> str:
    warning = f" Take care: {_effective(found)} effective sessions are fewer than 250, and the intervals may be too short."
    return (
        f"On {_where(found)}, router {found.router} would have a mean {found.reward} of {_shown(found, found.value())} (estimated, doubly "
        f"robust, 95 % by session), against {_logged(found)} of the logged policy. The difference is "
        f"{_shown(found, found.difference(), '+')}: {_said(found)}.{warning if found.verdict == 'few' else ''}"
    )


def _said(found: OffPolicy) -> str:
    """Say on which side of 0 the difference lies."""
    low, high = found.difference().low, found.difference().high
    more, less = ("better", "worse") if found.reward == "quality" else ("dearer", "cheaper")
    if low is None or high is None:
        return "without an interval, it decides nothing"
    return f"the router is {more}" if low > 0 else f"the router is {less}" if high < 0 else "the two cannot be told apart"


def _refusal(found: OffPolicy) -> str:
    return (
        f"No estimate for router {found.router}: on {_where(found)} only {_effective(found)} effective sessions were drawn as it would "
        f"choose, and fewer than 30 say nothing. The logged policy's own {found.reward} is {_logged(found)}. Log more sessions, or draw "
        "what the router chooses more often."
    )


def _bounds(found: OffPolicy) -> str:
    range_, missing = found.value(), f"{1 - found.support:.1%} of {_where(found)}"
    models = ", ".join(f"{m} {share:.1%}" for m, share in found.missing.items())
    reach = f"between {range_.low:.4f} and {range_.high:.4f}, whatever the {found.reward} of those from 0 to 1"
    if found.reward == "cost":
        reach = f"at {range_.low:.4g} USD or above, since nothing limits the cost of those"
    return (
        f"No point estimate for router {found.router}: for {missing} it chooses what the log could not have drawn ({models}). "
        f"Its mean {found.reward} lies {reach} (estimated, 95 % by session), against {_logged(found)} of the logged policy. "
        "Give every candidate a propensity above 0, or take it from the router (with_candidates)."
    )


def _effective(found: OffPolicy) -> str:
    """Count effective sessions, and those to be expected where they are fewer."""
    less = f" ({found.expected_ess:,.0f} by the propensities)" if found.expected_ess < 0.9 * found.ess else ""
    return f"{found.ess:,.0f}{less}"


def _weights(found: OffPolicy) -> str:
    if found.verdict == "none":
        return ""
    return f"The weights leave {_effective(found)} effective sessions; the largest is {found.max_weight:.3g}, and none is clipped."


def _kept(found: OffPolicy) -> str:
    return f"The router leaves {found.kept:.1%} of these requests as they are." if found.kept > 0 else ""


def _left_out(found: OffPolicy) -> str:
    counts = ", ".join(f"{n:,} {why}" for why, n in found.left_out.items())
    return f"Not among them: {counts}; the estimate is not of those." if counts else ""
