"""A certificate: which τ holds a floor, what it saves, on what evidence, and what that means in words.

In: what a test on calibration rows found. Out: one frozen value with its table and its statement. Tests nothing itself.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from planner.errors import InputError

__all__ = ["Guarantee"]


@dataclass(frozen=True, eq=False)
class Guarantee:
    """What is certified of a router.

    Parameters
    ----------
    tau: the last τ certified; −∞ (always the model of today) when none is.
    floor: quality that may be lost on the mean of all requests, fixed beforehand.
    level: quality that must not be undercut, where that was tested instead; else None.
    delta: the chance that the statement is false, at most.
    rows, units: calibration rows, and the users, sessions and duplicate groups they come from.
    heaviest: what one unit counts for at most, in mean units; ``trimmed_share`` of the rows' weight is above that and not counted.
    table: one row a τ in the order of testing: ``tau, loss, p_value, usd_per_1k, saving, certified``; p is NaN where not tested. All
        certified τ hold together, so a slider may move among them (``holds``, ``at``); at any other τ it is exploratory.
    saving: share of the spend on the calibration rows that ``tau`` saves (measured); 0 on requests that the router leaves alone.
    abstained_share: share of that spend on requests that the router leaves as they are, unread.
    grader: who graded. ``verified``: False for an LLM judge that no human subset corrects.
    human_units: units whose human grades correct the judge's; 0 where there are none.
    needed: calibration rows with which the first τ that failed would have passed with 80 % power (estimated); NaN for no number.
    usd_per_label: [USD] of one more calibration row, with those that fit and judge beside it; NaN when unknown.
    """

    tau: float
    floor: float
    level: float | None
    delta: float
    rows: int
    units: int
    heaviest: float
    trimmed_share: float
    table: pd.DataFrame = field(repr=False)
    saving: float
    abstained_share: float
    grader: str
    verified: bool
    human_units: int
    needed: float
    usd_per_label: float

    @property
    def certified(self) -> bool:
        """Whether any τ but always-the-reference holds."""
        return not np.isneginf(self.tau)

    def holds(self, tau: float) -> bool:
        """Whether ``tau`` was among those that passed."""
        return bool((self.table["certified"] & (self.table["tau"] == tau)).any())

    def at(self, tau: float) -> Guarantee:
        """Return the guarantee of another τ that passed; InputError for one that did not."""
        if not self.holds(tau):
            raise InputError(f"tau {tau:g}", "one that the table shows as certified")
        line = self.table[self.table["tau"] == tau].iloc[0]
        return replace(self, tau=float(tau), saving=float(line["saving"]))

    @property
    def text(self) -> str:
        """The statement in words."""
        return " ".join(w for w in (self._statement(), self.limits(), self._more(), self.graded()) if w)

    def _statement(self) -> str:
        source = f"{self.units:,} calibration units, {self.rows:,} requests; grader: {self.grader}"
        if not self.certified:
            kept = f"the loss of quality within {self.floor:g}" if self.level is None else f"quality at {self.level:g}"
            return (
                f"Nothing is certified: no threshold is shown to keep {kept} with "
                f"{100 * (1 - self.delta):.4g} % confidence ({source}), so every request stays with its model of today."
            )
        return (
            f"With {100 * (1 - self.delta):.4g} % confidence, quality {self.promise} on requests like these ({source}). "
            f"It saves {self.saving:.1%} (measured on them)."
        )

    @property
    def promise(self) -> str:
        """What is promised of quality, as the end of a sentence."""
        return f"falls by at most {self.floor:g} against today's models" if self.level is None else f"is at least {self.level:g}"

    def limits(self) -> str:
        """Return what the promise leaves out, in words."""
        words = []
        if self.certified and self.abstained_share > 0:
            words.append(f"{self.abstained_share:.1%} of the spend is outside what was calibrated and stays as it is.")
        if self.trimmed_share > 0:
            words.append(
                f"One user, session or duplicate group counts for at most {self.heaviest:.3g} times the mean one, "
                f"which leaves {self.trimmed_share:.1%} of the weight uncounted."
            )
        return " ".join(words)

    def _more(self) -> str:
        if self.certified:
            return ""
        if math.isnan(self.needed):
            return "More labels of this kind would hardly change that: the first threshold tested seems to lose more than the floor."
        more = max(math.ceil((self.needed - self.rows) / 100) * 100, 100)
        price = (
            "" if math.isnan(self.usd_per_label) else f", for ${more * self.usd_per_label:,.0f} with those that fit and judge beside them"
        )
        return f"About {more:,} more calibration labels would show it for the first threshold{price} (estimated from the spread seen)."

    def graded(self) -> str:
        """Return what is to be known of the grades, in words."""
        if self.human_units:
            return f"The judge's grades are corrected by {self.human_units:,} units that people graded too."
        return "" if self.verified else "Judge-preferred, not verified: no human has graded a part of these answers."

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html()}"
