"""LiteLLM's own code, run here on requests: how it files them, what it predicts of them, and where its router sends them.

In: requests, an artifact or a whole configuration. Out: its answers. Nothing of its rules is copied; no key and no network is needed.
Knows nothing of labels or of what is done with the answers.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import MissingExtraError

__all__ = ["filed", "probabilities", "routed"]

_OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True", "HF_HUB_OFFLINE": "1"}
_TIERS = "litellm.router_strategy.complexity_router.tier_predictor"
_TYPES = "litellm.router_strategy.adaptive_router.classifier"


@contextmanager
def _offline() -> Iterator[None]:
    """Keep LiteLLM from asking the network while it is imported or made, and turn what it lacks into one error."""
    before = {name: os.environ.get(name) for name in _OFFLINE}
    os.environ.update(_OFFLINE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ImportError, AttributeError, TypeError) as error:
        raise MissingExtraError(f"LiteLLM cannot be run here ({type(error).__name__}: {error})", fix="run: pip install litellm") from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def filed(asks: Sequence[str]) -> list[tuple[str, str]]:
    """Return the request type and the cohort that LiteLLM files each question under; MissingExtraError without LiteLLM."""
    with _offline():
        classify, cohort = importlib.import_module(_TYPES).classify_prompt, importlib.import_module(_TIERS).similarity_cohort
        kinds = [classify(ask) for ask in asks]
        return [(kind.value, cohort(ask, kind)) for ask, kind in zip(asks, kinds, strict=True)]


def probabilities(artifact: Mapping[str, Any], asks: Sequence[str]) -> NDArray[np.float64]:
    """Return the success that LiteLLM predicts of each question on each of the four tiers under ``artifact``, (n, 4)."""
    with _offline():
        tiers, classify = importlib.import_module(_TIERS), importlib.import_module(_TYPES).classify_prompt
        predictor = tiers.TierSuccessPredictor(tiers.TrainedTierArtifact(**artifact))
        found = [predictor.predict(ask, classify(ask)).probabilities for ask in asks]
    return np.array([[p[tier] for tier in (1, 2, 3, 4)] for p in found]).reshape(-1, 4)


def routed(models: Sequence[Mapping[str, Any]], group: str, conversations: Sequence[Any]) -> list[str]:
    """Return the model group to which LiteLLM's router sends each of ``conversations`` (lists of messages) that asks for ``group``.

    ``models`` is the ``model_list`` of a configuration; its keys are not used, nothing is called.
    """
    with _offline(), ThreadPoolExecutor(1) as apart:  # a notebook has a running loop of its own
        return apart.submit(asyncio.run, _routed(models, group, conversations)).result()


async def _routed(models: Sequence[Mapping[str, Any]], group: str, conversations: Sequence[Any]) -> list[str]:
    deployments = [{**m, "litellm_params": {**m["litellm_params"], "api_key": "unused"}} for m in models]
    router = importlib.import_module("litellm").Router(model_list=deployments)
    found = []
    for messages in conversations:
        answer = await router.async_pre_routing_hook(model=group, request_kwargs={"metadata": {}}, messages=list(messages))
        found.append(group if answer is None else str(answer.model))
    return found
