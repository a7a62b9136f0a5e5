"""Timeline: what each day cost and how its requests ended, and from which day on an app had another model or prompt version.

In: an Audit. Out: a Timeline: sums by day, app and model, and the changes found. Knows nothing of why anything changed.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from planner.prices.audit import Audit
from planner.schema import EVIDENCE

__all__ = ["Timeline", "timeline"]

#: What may change, and the words for it.
_KINDS = {"model": "model", "prompt_version": "prompt version"}
#: An app's day says something from this many requests on, counted in rows: one that stands for fifty is still one.
_LEAST = 20


@dataclass(frozen=True, eq=False)
class Timeline:
    """A log by day.

    Parameters
    ----------
    table: a row a day, app and model: ``day, app, model, requests, usd, failed`` (requests that did not end well), weighted.
    changes: ``app, what`` (model or prompt version) ``, day, before, after``: ``after`` answers most of an app's requests from that day on,
        until the next change, and ``before`` did until then.
    evidence: how the dollars are known, as the audit has it. counted: how the requests are: of a sample they are estimated.
    """

    table: pd.DataFrame
    changes: pd.DataFrame = field(repr=False)
    evidence: str
    counted: str

    @property
    def text(self) -> str:
        """The dearest day, the day on which most failed, and every change in order of time."""
        if self.table.empty:
            return "No requests."
        days = self.table.groupby("day")[["requests", "usd", "failed"]].sum()
        share = (days["failed"] / days["requests"].clip(lower=1e-12)).to_numpy()
        dear, bad = int(days["usd"].to_numpy().argmax()), int(share.argmax())
        usd = days["usd"]
        lines = [
            f"{len(days):,} days (UTC), ${usd.mean():,.2f} a day; the dearest was {days.index[dear]} with ${usd.iloc[dear]:,.2f} "
            f"({self.evidence}); most failed on {days.index[bad]}, {share[bad]:.1%} of its requests ({self.counted})."
        ]
        lines += [f"{r.day}: {r.app} has {r.what} {r.after} instead of {r.before}." for r in self.changes.itertuples()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(line)}</p>" for line in self.text.splitlines())


def timeline(audit: Audit) -> Timeline:
    """Return what each day of ``audit`` cost, and what changed from which day on.

    A change is a day from which on another value than before has more than half of an app's requests, on every day until the next change
    that has at least 20 rows of them. Requests of the gateway's own (routers, judges) are left out of the changes, not of the sums.
    """
    frame = audit.traffic.frame("timestamp", "app", "model", "prompt_version", "status", "purpose")
    frame = frame.assign(day=frame["timestamp"].dt.strftime("%Y-%m-%d"), requests=audit.weight, usd=audit.spend_pusd / 1e12)
    frame["failed"] = np.where(frame["status"].isin(["ok", "cancelled"]), 0.0, frame["requests"])
    table = frame.groupby(["day", "app", "model"], dropna=False, sort=True)[["requests", "usd", "failed"]].sum().reset_index()
    users = frame[frame["purpose"] == "user"]
    found = [row for name, what in _KINDS.items() for row in _changes(users, name, what)]
    changes = pd.DataFrame(found, columns=["app", "what", "day", "before", "after"])
    counted = "estimated" if audit.sampled else EVIDENCE[0]
    return Timeline(table, changes.sort_values(["day", "app", "what"], ignore_index=True), audit.total.evidence, counted)


def _changes(frame: pd.DataFrame, column: str, what: str) -> list[tuple[str, str, str, str, str]]:
    sums = frame.dropna(subset=column).groupby(["app", "day", column], sort=True)["requests"].agg(["sum", "count"])
    whole = sums.groupby(level=["app", "day"]).transform("sum")
    leading = sums[(sums["sum"] > whole["sum"] / 2) & (whole["count"] >= _LEAST)].reset_index()
    leading["before"] = leading.groupby("app")[column].shift()
    turned = leading[leading["before"].notna() & (leading["before"] != leading[column])]
    return [(str(r["app"]), what, str(r["day"]), str(r["before"]), str(r[column])) for r in turned.to_dict("records")]
