"""The gateway's own heuristic router, run on the user's requests: LiteLLM's complexity router at its default settings.

In: a router whose requests and candidates are in question, and which model each tier stands for. Out: a router that decides them as
the installed LiteLLM would, offline and without a key; or why that cannot be run here. Nothing of its rules is copied: LiteLLM's own
scorer reads every request. Knows nothing of costs beyond their order.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, MissingExtraError, did_you_mean
from planner.router import ALWAYS_TAU, Requests, Router

__all__ = ["TIERS", "assumed_tiers", "heuristic"]

#: The tiers of LiteLLM's complexity router, easiest first.
TIERS = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")
_MODULE = "litellm.router_strategy.complexity_router.complexity_router"


@dataclass(frozen=True, eq=False)
class _Tiered:
    """LiteLLM's scorer with the contract of ours: the model of a request's tier gains 1, the others nothing.

    ``codes`` (tiers,) are the positions of the tiers' models among ``candidates`` of them; ``judge`` is LiteLLM's router.
    """

    judge: Any
    codes: tuple[int, ...]
    candidates: int

    def gains(self, requests: Requests) -> NDArray[np.float32]:
        """Return gains, (n, K); what the gateway would not choose is no candidate."""
        out = np.full((len(requests), self.candidates), -np.inf, np.float32)
        tier = [
            TIERS.index(self.judge.classify(user, system)[0].value) for user, system in zip(requests.user, requests.system, strict=True)
        ]
        out[np.arange(len(requests)), np.array(self.codes, np.int64)[tier]] = 1
        return out


class _Gateway(Router):
    """A router whose scorer is the gateway's: no bundle can hold it, a plan names its version."""

    @cached_property
    def _weights(self) -> str:
        scorer: Any = self.scorer
        return f"litellm {version('litellm')} {scorer.codes}"


def heuristic(router: Router, tiers: Mapping[str, str] | None = None) -> Router:
    """Return a router over the candidates and requests of ``router`` that decides as LiteLLM's complexity router does.

    Parameters
    ----------
    router: gives candidates, what each can answer, whose requests are decided and whether by session or by request.
    tiers: model of each of TIERS, as in the gateway's configuration; without it ``assumed_tiers``.

    Raises MissingExtraError where LiteLLM is not installed, or has no such router.
    """
    named = assumed_tiers(router) if tiers is None else dict(tiers)
    for tier in {*TIERS} ^ {*named}:
        raise InputError(f"tier {tier!r} {'missing' if tier in TIERS else 'of the gateway'}", f"a model for each of {', '.join(TIERS)}")
    for model in named.values():
        if model not in router.candidates:
            raise InputError(f"tier model {model!r}", f"one of {', '.join(router.candidates)}", did_you_mean(model, router.candidates))
    codes = tuple(router.candidates.index(named[tier]) for tier in TIERS)
    scorer: Any = _Tiered(_judge(), codes, len(router.candidates))
    values: dict[str, Any] = {f.name: getattr(router, f.name) for f in fields(router)}
    return _Gateway(**{**values, "scorer": scorer, "tau": ALWAYS_TAU})


def assumed_tiers(router: Router) -> dict[str, str]:
    """Spread the candidates over the tiers by what a request of 1,000 tokens costs: SIMPLE the cheapest, REASONING the dearest."""
    cost = router.costs.usd(np.array([1_000]))[0]
    order = np.argsort(cost, kind="stable").tolist()
    last = len(TIERS) - 1
    return {tier: router.candidates[order[(i * (len(order) - 1) + last // 2) // last]] for i, tier in enumerate(TIERS)}


def _judge() -> Any:
    """Return LiteLLM's own router object; importing it takes seconds and must ask no network for prices."""
    asked, before = "LITELLM_LOCAL_MODEL_COST_MAP", os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP")
    os.environ[asked] = "True"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = importlib.import_module(_MODULE).ComplexityRouter("planner", None, {"tiers": {}})
        found.classify("", None)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise MissingExtraError(
            f"the gateway's own router cannot be run here ({type(error).__name__}: {error})", fix="run: pip install litellm"
        ) from error
    finally:
        if before is None:
            os.environ.pop(asked, None)
        else:
            os.environ[asked] = before
    return found
