"""From a log of LLM calls to a decision, and to the files that put it into production.

1. traffic: ``read`` turns a log into a table of logical requests, ``join`` makes one of two logs of the same calls, and ``coverage``
    says what it can answer.
2. prices: a dated ``PriceBook`` says what each call costs, and ``audit`` checks the log's own bill against it.
3. labels: ``sample_labels`` draws requests for candidates to answer (``run_labels``, ``ingest_labels``); ``read_labels`` reads grades.
4. training: ``train`` learns a ``Router``, certifies its floor and says whether a simpler rule would do; ``off_policy`` needs no labels.
5. outcomes: ``fit_outcomes`` says what another model would have done with each request.
6. policies: a ``Plan`` is a list of levers; ``policies.Route`` sends each request where a router says.
7. simulation: ``simulate`` runs the plan over the log; ``frontier`` runs a whole family of them.
8. comparison: ``backtest`` predicts the log's own last weeks; ``compare``, ``optimize`` and ``recommend`` say which plan is better.
9. bundle: ``export`` writes the router, its plan and its evidence as files that ``Router.load`` checks and runs.
10. followup: ``verify`` holds production against the plan, ``bridge`` one bill against the next; ``drift`` says what has changed
    since, ``gate`` whether a new prompt or model is good enough.
11. ``figures`` draws any of these results; ``lab`` puts them under sliders; ``load_sample`` opens a SYNTHETIC log.

Every name is imported when first used, so that ``import planner`` costs nothing and the bare installation (numpy and a
tokenizer) can run an exported ``Router``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from planner.errors import MissingExtraError

if TYPE_CHECKING:
    from planner import figures, lab, policies, training
    from planner.bundle.export import export
    from planner.comparison.backtest import backtest
    from planner.comparison.compare import compare
    from planner.comparison.optimize import optimize
    from planner.comparison.recommend import recommend
    from planner.errors import PlannerError
    from planner.followup.bridge import bridge
    from planner.followup.drift import drift
    from planner.followup.gate import gate
    from planner.followup.verify import verify
    from planner.labels import Labels, ingest_labels, read_labels, run_labels, sample_labels
    from planner.outcomes import fit_outcomes
    from planner.policies import Plan
    from planner.prices import PriceBook
    from planner.prices.audit import audit
    from planner.router import Router
    from planner.simulation.frontier import frontier
    from planner.simulation.simulate import simulate
    from planner.stats import Estimate
    from planner.synthetic import load_sample
    from planner.traffic import Apps, Traffic
    from planner.traffic.coverage import coverage
    from planner.traffic.join import join
    from planner.traffic.read import read
    from planner.training.off_policy import off_policy
    from planner.training.train import train

__all__ = [
    "Apps",
    "Estimate",
    "Labels",
    "Plan",
    "PlannerError",
    "PriceBook",
    "Router",
    "Traffic",
    "audit",
    "backtest",
    "bridge",
    "compare",
    "coverage",
    "drift",
    "export",
    "figures",
    "fit_outcomes",
    "frontier",
    "gate",
    "ingest_labels",
    "join",
    "lab",
    "load_sample",
    "off_policy",
    "optimize",
    "policies",
    "read",
    "read_labels",
    "recommend",
    "run_labels",
    "sample_labels",
    "simulate",
    "train",
    "training",
    "verify",
]

#: Where each public name lives: ``module`` for a module itself, ``module:`` for a name in it.
_HOMES = {
    "Apps": "traffic:",
    "Estimate": "stats:",
    "Labels": "labels:",
    "Plan": "policies:",
    "PlannerError": "errors:",
    "PriceBook": "prices:",
    "Router": "router:",
    "Traffic": "traffic:",
    "audit": "prices:",
    "backtest": "comparison:",
    "bridge": "followup:",
    "compare": "comparison:",
    "coverage": "traffic:",
    "drift": "followup:",
    "export": "bundle:",
    "figures": "figures",
    "fit_outcomes": "outcomes:",
    "frontier": "simulation:",
    "gate": "followup:",
    "ingest_labels": "labels:",
    "join": "traffic:",
    "lab": "lab",
    "load_sample": "synthetic:",
    "off_policy": "training:",
    "optimize": "comparison:",
    "policies": "policies",
    "read": "traffic:",
    "read_labels": "labels:",
    "recommend": "comparison:",
    "run_labels": "labels:",
    "sample_labels": "labels:",
    "simulate": "simulation:",
    "train": "training:",
    "training": "training",
    "verify": "followup:",
}
_EXTRA = {"figures": "lab", "lab": "lab"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; MissingExtraError when its extra is not installed."""
    if name not in _HOMES:
        raise AttributeError(f"module 'planner' has no attribute {name!r}")
    module, colon, _ = _HOMES[name].partition(":")
    try:
        home = importlib.import_module(f"planner.{module}")
    except ModuleNotFoundError as error:
        missing = (error.name or "planner").partition(".")[0]
        if missing == "planner":
            raise
        install = f"pip install 'llm-traffic-planner[{_EXTRA.get(module, 'plan')}]'"
        raise MissingExtraError(f"planner.{name} needs {missing}, which is not installed", fix=f"run: {install}") from error
    value = getattr(home, name) if colon else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
