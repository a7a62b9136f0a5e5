"""Arms: which requests of a log a bundle decided, which of them were routed, and which were kept as they asked, by lot.

In: Traffic, and the digest of a bundle. Out: one row a comparable request: its app, arm, unit of assignment, what it asked for and what was
decided, and the chance it had of being routed; all other rows counted with the reason. Reads what the hook wrote beside every request: tags
and propensities. Knows nothing of money or quality.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import NeedsError
from planner.traffic import Traffic

__all__ = ["KEPT", "ROUTED", "Arms", "arms", "routed_by", "tags_said"]

#: The arms that a lot decides between; whom ``holdout`` keeps is kept for good, whom ``control`` keeps until the share grows.
ROUTED, KEPT = "routed", ("holdout", "control")
_TAGS = ("mode", "arm", "asked", "decided", "unit")
_COLUMNS = ("request_id", "timestamp", "app", "user", "session_id", "purpose", "tags", "action", "action_propensities")
_OTHER_BUNDLE = "decided by another bundle"
#: What the other arms mean.
_WHY = {
    "shadow": "in shadow: decided, sent as asked",
    "stopped": "stopped: sent as asked",
    "pinned": "held by the model of an earlier answer",
    "": "no arm: nothing was on for them",
}


@dataclass(frozen=True, eq=False)
class Arms:
    """``n`` requests that a lot routed or kept, in order of time.

    Parameters
    ----------
    position: (n,) rows of the traffic, not sorted.
    app, mode, asked, decided, action: (n,) names; the mode is ``canary`` or ``active``, the action what was sent. ``asked`` is the model
        that answers the group of deployments that was asked for, where it is always the same; ``decided`` is the same where the router
        abstained.
    arm: (n,) one of ``routed``, ``holdout``, ``control``.
    unit: (n,) codes of (app, session, end user or request): what the lot was drawn for.
    chance: (n,) the probability of the model decided, by request; of requests that keep their model that of the latest of their app that
        could be moved. Equal chances are the same settings. NaN where no request of the app could be moved.
    unit_kind: what most units are: ``session``, ``user`` or ``request``.
    left_out: why → how many of the log's rows are not among these.
    """

    position: NDArray[np.int64]
    timestamp: NDArray[np.datetime64]
    app: NDArray[np.object_]
    mode: NDArray[np.object_]
    asked: NDArray[np.object_]
    decided: NDArray[np.object_]
    action: NDArray[np.object_]
    arm: NDArray[np.object_]
    unit: NDArray[np.int64]
    chance: NDArray[np.float64]
    unit_kind: str
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.position)

    @property
    def routed(self) -> NDArray[np.bool_]:
        """Which requests are of the routed arm, whatever answered them in the end."""
        return np.asarray(self.arm == ROUTED)

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Which requests the decision would move: of these alone the arms differ."""
        return np.asarray(self.decided != self.asked)


def tags_said(tags: str | None) -> dict[str, str]:
    """Return what our tags in a JSON list say; of a name that stands twice the last, which is the hook's own.

    >>> tags_said('["app:chat", "planner:01234567", "planner-arm:routed"]')
    {'bundle': '01234567', 'arm': 'routed'}
    """
    found = {}
    for tag in json.loads(tags) if tags else ():
        name, colon, value = str(tag).partition(":")
        if colon and (name == "planner" or name.startswith("planner-")):
            found["bundle" if name == "planner" else name.removeprefix("planner-")] = value
    return found


def arms(traffic: Traffic, digest: str) -> Arms:
    """Return the requests of ``traffic`` that the bundle with this ``digest`` routed or kept by lot.

    A request that goes on with a stored conversation stays with the model that holds it and has the arm of its unit's earlier requests.
    NeedsError where nothing was decided by this bundle, or nothing was routed.
    """
    frame = traffic.frame(*_COLUMNS)
    said = _said(frame["tags"])
    frame = frame.drop(columns="tags").join(said).sort_values("timestamp", kind="stable")
    reason = _first_reasons(frame, digest[:8])
    own = frame[reason == ""].assign(reason="")
    own["unit"] = _units(own)
    own["asked"] = _homes(own)
    own["decided"], own["chance"] = _drawn(own)
    _pinned(own)
    lotted = own["arm"].isin([ROUTED, *KEPT])
    own["reason"] = np.where(lotted, "", own["arm"].map(_WHY).fillna(_WHY[""]))
    unknown = lotted & ((own["asked"] == "") | (own["decided"] == ""))
    own.loc[unknown, "reason"] = "what they asked for is not in the log"
    left_out = Counter(why for why in (*reason, *own["reason"]) if why)
    found = own[own["reason"] == ""]
    if not (found["arm"] == ROUTED).any():
        why = "; ".join(f"{n:,} {w}" for w, n in left_out.most_common())
        raise NeedsError(
            f"no request that bundle {digest[:8]} routed ({why or 'an empty log'})",
            "a log of the time after an app was set to canary or active",
            "check that the bundle is the one that ran and that the log keeps its tags",
        )
    chance = found["chance"].groupby(found["app"], sort=False)
    names: dict[str, Any] = {name: found[name].to_numpy(object) for name in ("app", "mode", "asked", "decided", "action", "arm")}
    return Arms(
        position=found.index.to_numpy(np.int64),
        timestamp=found["timestamp"].dt.tz_localize(None).to_numpy("datetime64[us]"),
        **names,
        unit=found["unit"].to_numpy(np.int64),
        chance=chance.ffill().groupby(found["app"], sort=False).bfill().to_numpy(float),
        unit_kind=str(found["kind"].mode().iloc[0]),
        left_out=dict(left_out.most_common()),
    )


def routed_by(traffic: Traffic) -> dict[str, int]:
    """Return how many of the users' requests in ``traffic`` each bundle routed, by the first eight digits of its digest."""
    frame = traffic.frame("purpose", "tags")
    said = _said(frame["tags"])
    ours = (frame["purpose"] == "user") & (said["arm"] == ROUTED) & (said["bundle"] != "")
    return {str(bundle): int(n) for bundle, n in said.loc[ours, "bundle"].value_counts().items()}


def _said(tags: pd.Series[str]) -> pd.DataFrame:
    """Return what the tags of every row say, a column each, "" where they say nothing; equal lists are read once."""
    codes, lists = pd.factorize(tags)
    read = [tags_said(one) for one in lists] + [{}]
    return pd.DataFrame({name: np.array([r.get(name, "") for r in read], object)[codes] for name in ("bundle", *_TAGS)}, index=tags.index)


def _first_reasons(frame: pd.DataFrame, bundle: str) -> pd.Series[str]:
    reason = pd.Series("", index=frame.index, dtype=object)
    reason[frame["bundle"] != bundle] = _OTHER_BUNDLE
    reason[frame["bundle"] == ""] = _WHY[""]
    reason[frame["purpose"] != "user"] = "overhead: no request of a user"
    return reason


def _units(own: pd.DataFrame) -> NDArray[np.int64]:
    """Number the units of assignment and name their kind; without the hook's word a session, else a user, else the request."""
    known = np.where(own["session_id"].notna(), "session", np.where(own["user"].notna(), "user", "request"))
    kind = own["unit"].where(own["unit"] != "", known)
    name = own["session_id"].where(kind == "session", own["user"].where(kind == "user"))
    own["kind"] = kind.where(name.notna(), "request")
    own["name"] = name.fillna(own["request_id"])
    return own.groupby(["app", "kind", "name"], sort=False).ngroup().to_numpy().astype(np.int64)


def _homes(own: pd.DataFrame) -> pd.Series[str]:
    """Return the model that whom the lot kept was sent to when asking for the same group in the same app; the group where that varies."""
    kept = own.loc[own["arm"].isin(KEPT) & own["action"].notna(), ["app", "asked", "action"]].drop_duplicates()
    homes = kept[~kept.duplicated(["app", "asked"], keep=False)].set_index(["app", "asked"])["action"]
    found = homes.reindex(pd.MultiIndex.from_frame(own[["app", "asked"]])).set_axis(own.index)
    return found.fillna(own["asked"])


def _drawn(own: pd.DataFrame) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Return the model decided, which is the one asked for where the decided one had no chance, and its probability, else NaN."""
    chance, decided, asked = np.full(len(own), np.nan), own["decided"].to_numpy(object).copy(), own["asked"].to_numpy(object)
    codes, texts = pd.factorize(own["action_propensities"])
    read: list[dict[str, Any]] = [json.loads(t) for t in texts]
    for i in np.flatnonzero((codes >= 0) & (decided != asked)).tolist():
        drawn = read[codes[i]].get(decided[i])
        if drawn is None:
            decided[i] = asked[i]
        else:
            chance[i] = round(float(drawn), 9)
    return decided, chance


def _pinned(own: pd.DataFrame) -> None:
    """Give requests that go on with a stored conversation what was drawn and decided for their unit before."""
    pinned = own["arm"] == "pinned"
    if not pinned.any():
        return
    drawn = ["mode", "arm", "asked", "decided", "chance"]
    known = own[drawn].mask(pinned).groupby(own["unit"], sort=False).ffill()
    found = pinned & known["arm"].isin([ROUTED, *KEPT])
    own.loc[found, drawn] = known.loc[found]
