"""What a learned router looks at, seen from outside: which words, apps and shapes of a request go with which score.

In: a Training. Out: tables, with the prompts of a few requests where asked for. Whatever the scorer is made of, only its scores
are read, so what is said holds for the router as it is exported. Knows nothing of weights.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.router import STRUCTURE, FeatureSpec, Requests, Scores, features, steps
from planner.stats.draws import key, uniform
from planner.training.result import Training

__all__ = ["deciles", "examples", "first_move", "looks_at"]

F64 = NDArray[np.float64]
_WORD = re.compile(r"[^\W\d_]{3,}")
#: A word is shown when at least this share of the requests has it, and at least _ROWS do.
_SHARE, _ROWS = 0.01, 20
#: [characters] shown of a prompt.
_EXCERPT = 160


def first_move(scores: Scores) -> tuple[F64, NDArray[np.int64]]:
    """Return the predicted loss of quality of the first candidate cheaper than its reference to which a request goes, and its code.

    First as τ rises; both (n,). The loss is ∞ where nothing cheaper may answer, or where the router abstains.

    >>> none = np.zeros(1, np.int8)
    >>> scores = Scores(np.array([[0, -0.25]], np.float32), np.array([[2.0, 1.0]]), np.ones((1, 2), bool), none, none.astype(int))
    >>> [x.tolist() for x in first_move(scores)]
    [[0.25], [1]]
    """
    thresholds, codes = steps(scores.gains, scores.cost_usd, scores.feasible, scores.home)
    rows = np.arange(len(scores))
    cheaper = np.take_along_axis(scores.cost_usd, codes, 1) < scores.cost_usd[rows, scores.home][:, None]
    cheaper &= np.isfinite(thresholds) & (scores.abstain[:, None] == 0)
    code = codes[rows, cheaper.argmax(1)]
    return np.where(cheaper.any(1), -scores.gains[rows, code].astype(float), np.inf), code


def looks_at(training: Training, top: int = 12) -> pd.DataFrame:
    """Return the words, apps and shapes that go with the largest differences of the predicted loss, the strongest first.

    One row each: ``kind, what, share`` of the requests that have it, predicted ``loss_with`` it and ``loss_without``, and their
    ``difference``. Shapes are those above their median. These are differences between requests, not effects of a word.
    """
    requests = training.problem.requests
    loss, _ = first_move(training.router.scores(requests, training.problem.day))
    read = np.isfinite(loss)
    kinds = {"word": _words(requests.user), "app": _of(requests.app), "shape": _shapes(requests)}
    rows = [(kind, name, *_split(loss, has, read)) for kind, flags in kinds.items() for name, has in flags.items()]
    table = pd.DataFrame(rows, columns=["kind", "what", "share", "loss_with", "loss_without"]).dropna()
    table = table.drop_duplicates(["share", "loss_with"])  # words of one template say the same
    table["difference"] = table["loss_with"] - table["loss_without"]
    weight = table["difference"].abs() * np.sqrt(table["share"] * (1 - table["share"]))
    return table.assign(_by=weight).sort_values("_by", ascending=False).drop(columns="_by").head(top).reset_index(drop=True)


def _words(texts: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """Return, for each word that enough texts have, which of them do."""
    places: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        for word in set(_WORD.findall(text.lower())):
            places.setdefault(word, []).append(i)
    least = max(_ROWS, _SHARE * len(texts))
    return {w: np.isin(np.arange(len(texts)), at) for w, at in places.items() if len(at) >= least}


def _of(values: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    column = np.array(values, object)
    return {str(v): np.asarray(column == v) for v in sorted(set(values))}


def _shapes(requests: Requests) -> dict[str, NDArray[np.bool_]]:
    shape = features(requests, FeatureSpec(0, 0, 0)).structure
    return {f"{name} above its median": shape[:, j] > np.median(shape[:, j]) for j, name in enumerate(STRUCTURE)}


def _split(loss: F64, has: NDArray[np.bool_], read: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the share of requests that have it, and the mean loss with and without; NaN where one side is too small."""
    inside, outside = loss[has & read], loss[~has & read]
    if min(len(inside), len(outside)) < _ROWS:
        return float("nan"), float("nan"), float("nan")
    return len(inside) / (len(inside) + len(outside)), float(inside.mean()), float(outside.mean())


def deciles(training: Training) -> pd.DataFrame:
    """Return, by tenth of the predicted loss on the rows that judge, what was predicted and what was measured.

    ``decile`` (1 loses least), ``requests``, mean ``predicted`` and ``measured`` loss of the cheaper answer, its standard error ``se``.
    """
    frame = _moves(training)
    found = frame.groupby("decile").agg(
        requests=("measured", "size"), predicted=("predicted", "mean"), measured=("measured", "mean"), sd=("measured", "std")
    )
    return found.assign(se=found.pop("sd") / np.sqrt(found["requests"])).reset_index()


def examples(training: Training, per_decile: int = 2, seed: int = 0) -> pd.DataFrame:
    """Return some requests of each tenth with their prompts: for eyes inside the team only.

    ``decile, app, prompt`` (its first characters), ``moved_to, predicted, measured`` loss of quality.
    """
    frame = _moves(training)
    order = np.argsort(uniform(seed, key(frame["unit"].to_numpy(object)), "examples"), kind="stable")
    shown: pd.DataFrame = frame.iloc[order].groupby("decile").head(per_decile).sort_values(["decile", "predicted"])
    return shown[["decile", "app", "prompt", "moved_to", "predicted", "measured"]].reset_index(drop=True)


def _moves(training: Training) -> pd.DataFrame:
    """Return the rows that judge and could be moved: predicted and measured loss of the first cheaper candidate, and the tenth."""
    problem, router = training.problem, training.router
    held = problem.rows("judge")
    requests = problem.requests.take(held)
    scores = router.scores(requests, problem.day)
    loss, codes = first_move(scores)
    quality, rows = problem.quality[held], np.arange(len(held))
    frame = pd.DataFrame(
        {
            "app": requests.app,
            "unit": problem.unit[held],
            "prompt": [" ".join(t[: 2 * _EXCERPT].split())[:_EXCERPT] for t in requests.user],
            "moved_to": np.array(router.candidates, object)[codes],
            "predicted": loss,
            "measured": quality[rows, scores.home] - quality[rows, codes],
        }
    )
    frame = frame[np.isfinite(frame["predicted"]) & frame["measured"].notna()]
    rank = frame["predicted"].rank(method="first")
    tenth: pd.DataFrame = frame.assign(decile=np.minimum((10 * (rank - 1) / max(len(frame), 1)).astype(int) + 1, 10))
    return tenth
