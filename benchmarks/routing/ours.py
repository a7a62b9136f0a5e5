"""The planner's own rows: what ``planner.training`` learns, with the domain hidden and shown.

In: Data and a Task. Out: Fitted. Everything is tuned inside the training rows by the library itself.
"""

from __future__ import annotations

import numpy as np

from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method
from planner.router import Requests
from planner.training.learn import learn

__all__ = ["OURS"]


def _fit(inputs: str) -> Method:
    def fit(data: Data, task: Task) -> Fitted:
        requests = data.requests[inputs]
        train = task.train
        rows = (requests.take(train), data.gain[train], data.weight[train], data.unit[train], data.reference)
        learned = learn(*rows, seed=task.seed, quality=data.quality[train])
        names = data.requests["all"].app

        def decide(row: int) -> object:
            app = {"app": names[row]} if inputs == "all" else None
            return learned.scorer.gains(Requests.one(data.text[row], app))

        outside = learned.scorer.gains(requests.take(task.test)).astype(float)
        return Fitted(np.asarray(learned.oof, float), outside, {"trials": learned.trials}, decide)

    return Method(f"planner_{inputs}", inputs, "planner", fit)


OURS = (_fit("text"), _fit("all"))
