"""How amounts are written in sentences about a simulation.

In: dollars, and estimates of them. Out: text. Knows nothing of where they come from.
"""

from __future__ import annotations

import numpy as np

from planner.stats import Estimate

__all__ = ["between_usd", "dollars", "parts"]


def dollars(usd: float) -> str:
    """Write an amount whole from $100 on, with cents from 10 cents on, to two digits below.

    >>> dollars(1234.5), dollars(3.6), dollars(-0.058), dollars(0)
    ('$1,234', '$3.60', '-$0.058', '$0.00')
    """
    size = abs(usd)
    shown = (
        f"{size:,.0f}" if size >= 100 else f"{size:.2f}" if size >= 0.1 or not size else np.format_float_positional(float(f"{size:.2g}"))
    )
    return f"{'-' if usd < 0 else ''}${shown}"


def between_usd(estimate: Estimate, factor: float) -> str:
    """Write ``estimate`` times ``factor`` as dollars, with its limits where it has some.

    >>> between_usd(Estimate(2.0, 1.0, 4.0, "estimated"), 100), between_usd(Estimate(2.0), 100)
    ('$200 [$100, $400]', '$200')
    """
    value = dollars(estimate.value * factor)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{dollars(estimate.low * factor)}, {dollars(estimate.high * factor)}]"


def parts(estimate: Estimate, factor: float) -> str:
    """Name the parts of a sum of dollars by evidence.

    >>> parts(Estimate(250.0, shares={"measured": 210.0, "estimated": 40.0, "assumed": 0.0}), 1.0)
    '$210.00 measured, $40.00 estimated'
    """
    return ", ".join(f"${v * factor:,.2f} {k}" for k, v in estimate.shares.items() if v) or f"all {estimate.evidence}"
