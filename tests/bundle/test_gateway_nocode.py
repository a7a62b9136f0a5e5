"""The router without code: its counts are the labels', its choices LiteLLM's, and its loss is measured where neither was trained."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exported import FLOOR, Office, office, texts_of
from support.small import MODELS

from planner.bundle.nocode import AUTO, TIERS, NoCode, auto_router, fit_nocode, ladder
from planner.bundle.nocode_litellm import filed, probabilities, routed
from planner.errors import MissingExtraError
from planner.text.messages import conversation
from planner.training.judge import Judged


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Return the office."""
    return office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def nocode(made: Office) -> NoCode:
    """Fit it once."""
    return fit_nocode(made.training, made.training.router, made.labels.items["messages"].tolist())


def artifact_of(found: NoCode) -> dict[str, Any]:
    """Return the fitted artifact."""
    artifact: dict[str, Any] = found.entry["litellm_params"]["complexity_router_config"]["heuristic_v2_artifact"]
    return artifact


def test_counts_are_those_of_the_rows_that_fit(made: Office, nocode: NoCode) -> None:
    """Successes and observations, in all, by request type and by cohort, are sums over the fit rows, filed by LiteLLM's own functions."""
    problem = made.training.problem
    rows = problem.rows("fit")
    rows = rows[problem.whole[rows]]
    asks = [conversation(made.labels.items["messages"].iloc[i]).last for i in rows]
    quality = {m: problem.quality[rows][:, problem.models.index(m)] for m in problem.models}
    kinds, artifact = filed(asks), artifact_of(nocode)
    for line in artifact["global_statistics"]:
        assert line["observations"] == len(rows), "weights are equal, so each counts 1"
        assert line["successes"] == quality[nocode.tiers[TIERS[line["tier"] - 1]]].sum()
    for part, name in (("domain_statistics", "request_type"), ("cohort_statistics", "cohort")):
        mine = [kind if name == "request_type" else cohort for kind, cohort in kinds]
        seen = Counter(mine)
        assert {(line[name], line["observations"]) for line in artifact[part]} == {(k, float(v)) for k, v in seen.items()}
        for line in artifact[part]:
            here = np.array([m == line[name] for m in mine])
            assert line["successes"] == pytest.approx(quality[nocode.tiers[TIERS[line["tier"] - 1]]][here].sum())


def test_tiers_rise_in_quality_and_cost(nocode: NoCode) -> None:
    """Where every dearer model is better, tiers are the models from cheapest to dearest, and the last repeats."""
    assert [nocode.tiers[t] for t in TIERS] == [MODELS[2], MODELS[1], MODELS[0], MODELS[0]]


def test_litellm_chooses_by_the_first_tier_that_is_expected_to_do(made: Office, nocode: NoCode) -> None:
    """LiteLLM's router sends requests to the first tier whose expected success, from the counts as they are documented, is enough."""
    artifact, texts = artifact_of(nocode), list(texts_of(80, 7)[0])
    threshold = nocode.entry["litellm_params"]["complexity_router_config"]["heuristic_v2_success_threshold"]
    said = []
    for kind, cohort in filed(texts):
        best, chosen = 0.0, 4
        for tier in (1, 2, 3, 4):
            one = next(s for s in artifact["global_statistics"] if s["tier"] == tier)
            p = (one["successes"] + 1) / (one["observations"] + 2)
            for part, name, value, mass in (("domain", "request_type", kind, 200), ("cohort", "cohort", cohort, 20)):
                own = next((s for s in artifact[f"{part}_statistics"] if s["tier"] == tier and s[name] == value), None)
                p = p if own is None else (own["successes"] + mass * p) / (own["observations"] + mass)
            best = max(best, p)
            if best >= threshold:
                chosen = tier
                break
        said.append(nocode.tiers[TIERS[chosen - 1]])
    models = [{"model_name": m, "litellm_params": {"model": f"openai/{m}"}} for m in MODELS]
    assert routed([*models, nocode.entry], AUTO, [[{"role": "user", "content": t}] for t in texts]) == said
    assert len({*said}) > 1


def test_the_loss_is_that_of_rows_that_trained_neither(made: Office, nocode: NoCode) -> None:
    """Quality and cost are means over the rows that judge, of the model to which LiteLLM sends each; the differences are theirs."""
    problem, router = made.training.problem, made.training.router
    rows = problem.rows("judge")
    rows = rows[problem.whole[rows]]
    talks = [[{"role": "user", "content": conversation(made.labels.items["messages"].iloc[i]).last}] for i in rows]
    models = [{"model_name": m, "litellm_params": {"model": f"openai/{m}"}} for m in MODELS]
    theirs = [problem.models.index(m) for m in routed([*models, nocode.entry], AUTO, talks)]
    ours = router.choose(router.scores(problem.requests.take(rows), problem.day))[0]
    at, found = np.arange(len(rows)), nocode.evaluation
    assert found["rows"] == len(rows)
    assert found["no_code"]["quality"] == pytest.approx(problem.quality[rows][at, theirs].mean())
    assert found["no_code"]["usd_per_1k"] == pytest.approx(1_000 * problem.cost_usd[rows][at, theirs].mean())
    lost = problem.quality[rows][at, theirs] - problem.quality[rows][at, ours]
    assert found["beside_planner"]["quality_difference"][0] == pytest.approx(lost.mean())
    value, low, high = found["beside_planner"]["usd_per_1k_difference"]
    assert low <= value <= high
    assert f"{lost.mean():+.4f}" in nocode.text


def test_it_learns_what_litellm_can_tell_apart(nocode: NoCode) -> None:
    """Letters go to a cheap model and code to the dear one, which saves a third and keeps the floor on rows not seen."""
    home, found = nocode.evaluation["reference"], nocode.evaluation["no_code"]
    assert found["usd_per_1k"] < 2 / 3 * home["usd_per_1k"]
    assert found["quality_diff"] > -FLOOR


def test_nothing_shown_means_today(made: Office) -> None:
    """Where no threshold is shown to keep the floor (here one that nothing could), every tier is the model of today."""
    strict = replace(made.training, floor=-0.5)
    found = fit_nocode(strict, strict.router, made.labels.items["messages"].tolist())
    assert {*found.tiers.values()} == {strict.router.reference}
    assert found.evaluation["no_code"]["quality_diff"] == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 10)), min_size=1, max_size=7), st.integers(1, 4))
def test_a_ladder_never_pays_more_for_less(models: list[tuple[float, float]], n: int) -> None:
    """Each step of the ladder costs at least as much and answers better; the best model is its top; no other model is better for less."""
    quality, cost = (np.tile([m[j] for m in models], (n, 1)) for j in (0, 1))
    codes = ladder(Judged(quality, cost, np.ones(n), np.array([str(i) for i in range(n)]), np.zeros(n, np.int64)))
    steps = list(dict.fromkeys(codes))
    assert len(codes) == 4
    assert all(cost[0, a] <= cost[0, b] and quality[0, a] < quality[0, b] for a, b in pairwise(steps))
    assert quality[0, codes[-1]] == quality[0].max()
    assert cost[0, codes[0]] == cost[0].min()


def test_odd_conversations_are_routed_too(nocode: NoCode) -> None:
    """Any shape of messages gets a model group of the ladder, as LiteLLM would send it."""
    models = [{"model_name": m, "litellm_params": {"model": f"openai/{m}"}} for m in MODELS]
    talks: list[Any] = [
        [{"role": "user", "content": ""}],
        [{"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": [{"type": "text", "text": "Write a python class"}]}, {"role": "assistant", "content": "ok"}],
        [{"role": "tool", "content": "7", "tool_call_id": "x"}],
    ]
    assert {*routed([*models, nocode.entry], AUTO, talks)} <= {*MODELS, AUTO}
    assert probabilities(artifact_of(nocode), []).shape == (0, 4)


def test_without_litellm_it_says_so(made: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LiteLLM is not installed, or has no such router, one sentence says what to install."""
    for name in [m for m in sys.modules if m.startswith("litellm.router_strategy.complexity_router")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"LiteLLM cannot be run here.*pip install litellm"):
        fit_nocode(made.training, made.training.router, made.labels.items["messages"].tolist())


def test_an_automatic_router_has_four_tiers() -> None:
    """A configuration with another number of tiers is a mistake, not a router."""
    with pytest.raises(ValueError, match="shorter"):
        auto_router(["a"], "a")
