"""The part of a log that shows which model a policy drew, with what probability, and how good the answer was.

In: traffic, and the candidates of the router to be judged. Out: arrays: reward, the candidate that was drawn, the probability
of every candidate, the session, and how many rows were left out and why. What is logged wrongly is refused by the request's
name. Knows nothing of estimators.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError, did_you_mean
from planner.router import Requests
from planner.traffic import Traffic

__all__ = ["HOW_TO_LOG", "REWARDS", "Logged", "load_logged"]

#: What can be estimated → the log's column that holds it.
REWARDS: Mapping[str, str] = {"quality": "quality", "cost": "source_cost_usd"}
#: The next step where a log holds no propensities.
HOW_TO_LOG = (
    "let the gateway draw the model (for example the cheap one with probability 0.1) and log with every request action (what was "
    'drawn), action_propensities ({"gpt-5": 0.9, "gpt-5-mini": 0.1}: the probability of every action, summing to 1) and '
    "policy_version; LiteLLM keeps them in metadata.spend_logs_metadata"
)
_TOLERANCE = 1e-6
_TEXT = ("messages", "app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
_COLUMNS = ("request_id", "timestamp", "session_id", "model", "action", "action_propensities", "policy_version", "purpose", "cache_hit")


@dataclass(frozen=True, eq=False)
class Logged:
    """``n`` requests whose model was drawn with known probabilities; row arrays have shape (n,), in order of time.

    Parameters
    ----------
    models: the names of the columns of ``propensities``: the candidates, then other logged actions.
    action: the drawn model's code, a position in ``models``.
    propensities: (n, models): each model's probability under the logged policy.
    reward: NaN where nobody rated the answer.
    session: codes from 0; a request without a session is its own.
    first: the row of the request's session that came first, (n,).
    left_out: why → how many of the log's rows are not among these.
    """

    request_id: NDArray[np.object_]
    models: tuple[str, ...]
    action: NDArray[np.int64]
    propensities: NDArray[np.float64]
    reward: NDArray[np.float64]
    weight: NDArray[np.float64]
    session: NDArray[np.int64]
    first: NDArray[np.int64]
    policies: tuple[str, ...]
    left_out: Mapping[str, int]
    text: pd.DataFrame = field(repr=False)

    def __len__(self) -> int:
        return len(self.action)

    def requests(self, unit: str) -> Requests:
        """Read the text in the router's own form."""
        return Requests.of(**{name: self.text[name].tolist() for name in _TEXT}, unit=unit)


def load_logged(traffic: Traffic, candidates: Sequence[str], reward: str = "quality", actions: Mapping[str, str] | None = None) -> Logged:
    """Load the users' own requests that reached a model drawn with logged propensities.

    Parameters
    ----------
    candidates: the models that the router to be judged chooses among.
    reward: a key of REWARDS.
    actions: {logged action: model}, where a policy's actions are not called as the models; by default an action that is no
        candidate is the one model that answered it.

    NeedsError where no propensities or no rewards were logged; InputError where they cannot be what was drawn from.
    """
    if reward not in REWARDS:
        raise InputError(f"reward {reward!r}", f"one of {', '.join(REWARDS)}", did_you_mean(reward, REWARDS))
    whole = traffic.frame(*_COLUMNS, REWARDS[reward], "weight")
    own = (whole["purpose"] == "user") & ~whole["cache_hit"].astype(bool)
    drawn = own & whole["action_propensities"].notna()
    if not drawn.any():
        raise NeedsError(f"{len(whole):,} requests without action_propensities, from which nothing can be estimated", fix=HOW_TO_LOG)
    place = np.flatnonzero(drawn)
    place = place[np.argsort(whole["timestamp"].to_numpy()[place], kind="stable")]
    frame = whole.iloc[place].reset_index(drop=True)
    traffic.require_text("a router")
    if frame[REWARDS[reward]].isna().all():
        raise NeedsError(f"{len(frame):,} requests with propensities, none with a {reward}", _RATE[reward][0], _RATE[reward][1])
    action, propensities, names = _coded(frame)
    columns = _models(frame, names, candidates, dict(actions or {}))
    models = tuple(dict.fromkeys([*candidates, *columns]))
    summed = np.zeros((len(frame), len(models)))
    code = np.array([models.index(m) for m in columns])
    np.add.at(summed.T, code, propensities.T)
    alone, own_id = frame["session_id"].isna(), "r " + frame["request_id"].astype(object)
    session = pd.factorize(("s " + frame["session_id"].astype(object).astype(str)).where(~alone, own_id))[0]
    left_out = {
        "not a user's own call, or answered from a cache": int((~own).sum()),
        "no propensities": int((own & ~drawn).sum()),
        f"no {reward}": int(frame[REWARDS[reward]].isna().sum()),
    }
    return Logged(
        frame["request_id"].to_numpy(object),
        models,
        code[action],
        summed,
        frame[REWARDS[reward]].to_numpy(float),
        frame["weight"].to_numpy(float),
        session.astype(np.int64),
        np.unique(session, return_index=True)[1][session],
        tuple(sorted(frame["policy_version"].dropna().unique())),
        {why: n for why, n in left_out.items() if n},
        traffic.frame(*_TEXT).iloc[place],
    )


_RATE: Mapping[str, tuple[str, str]] = {
    "quality": ("a score of some answers", "map it while reading, for example mapping={'quality': 'metadata.spend_logs_metadata.score'}"),
    "cost": ("the cost of some requests", "read a log that states its costs (source_cost_usd)"),
}


def _coded(frame: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """Return each row's action code and propensities over the sorted names of all actions."""
    kind, texts = pd.factorize(frame["action_propensities"])
    given = [_parsed(text, frame["request_id"].iloc[int(np.argmax(kind == i))]) for i, text in enumerate(texts)]
    names = sorted(set().union(*given))
    table = np.array([[p.get(name, 0.0) for name in names] for p in given])[kind]
    drawn = frame["action"].fillna(frame["model"]).to_numpy(object)
    action = pd.Index(names).get_indexer(pd.Index(drawn))
    taken = np.where(action >= 0, table[np.arange(len(table)), action], 0.0)
    if (bad := np.flatnonzero(taken <= 0)).size:
        row, known = frame.iloc[bad[0]], ", ".join(n for n, p in zip(names, table[bad[0]], strict=True) if p > 0)
        raise InputError(
            f"request {row['request_id']!r} with action {drawn[bad[0]]!r}",
            f"an action that it could draw ({known})",
            "log as action the key of action_propensities that was drawn" if pd.isna(row["action"]) else "",
        )
    return action, table, names


def _parsed(text: str, request_id: str) -> dict[str, float]:
    """Read one row's propensities; InputError names the row."""
    try:
        found: Any = json.loads(text)
        values = {str(k): float(v) for k, v in found.items()}
    except (ValueError, TypeError, AttributeError):
        raise InputError(
            f"action_propensities {text[:60]!r} of request {request_id!r}",
            "a JSON object of numbers",
            'log for example {"a": 0.9, "b": 0.1}',
        ) from None
    total = sum(values.values())
    if not (all(0 <= v <= 1 + _TOLERANCE for v in values.values()) and abs(total - 1) <= _TOLERANCE):
        raise InputError(
            f"action_propensities {text[:60]} of request {request_id!r}, which sum to {total:.7g}",
            "probabilities from 0 to 1 that sum to 1",
            "log the probability of every action, the unlikely ones too",
        )
    return values


def _models(frame: pd.DataFrame, names: Sequence[str], candidates: Sequence[str], stated: Mapping[str, str]) -> list[str]:
    """Return the model behind each action: stated, else its own name, else the only one that answered it."""
    for action in stated:
        if action not in names:
            raise InputError(f"action {action!r}", f"one of {', '.join(names)}", did_you_mean(action, names))
    answered = frame.dropna(subset="action").groupby("action")["model"].unique()
    found = []
    for name in names:
        by = list(answered.get(name, [name]))
        by = [name] if name in (*candidates, *by) else by
        if name not in stated and len(by) > 1:
            raise InputError(
                f"action {name!r}, answered by {', '.join(sorted(by))}",
                "one model behind it",
                f"say which: actions={{{name!r}: {by[0]!r}}} (--action {name}={by[0]})",
            )
        found.append(stated.get(name, by[0]))
    if not {*found} & {*candidates}:
        raise NeedsError(
            f"actions {', '.join(names)} in the log",
            f"at least one of the router's candidates ({', '.join(candidates)})",
            f"say which model an action is: actions={{{names[0]!r}: {candidates[0]!r}}} (--action {names[0]}={candidates[0]})",
        )
    return found
