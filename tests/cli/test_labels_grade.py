"""``planner labels grade`` and ``planner labels noise``, run as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.judges import judging, parts

from planner.labels import Answers, Labels
from planner.labels.ab import Store


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Write answers of two models to 40 sums, one call failed, and the right answers."""
    ids = [f"q{i:02d}" for i in range(40)]
    asked = [json.dumps([{"role": "user", "content": f"{i} + {i}?"}]) for i in range(40)]
    rows = [
        {"request_id": q, "model": m, "repeat": r, "source": "log" if m == "big" else "run",
         "response": f"It is {2 * i + (m == 'small' and i % (3 + r) == 0)}."}
        for i, q in enumerate(ids) for m in ("big", "small") for r in (0, 1)
    ]  # fmt: skip
    rows[-1] |= {"status": "rate_limit", "response": None, "error_class": "RateLimitError"}
    (tmp_path / "right.csv").write_text("request_id,reference\n" + "".join(f"{q},{2 * i}\n" for i, q in enumerate(ids)))
    return Answers.of(pd.DataFrame({"request_id": ids, "messages": asked}), pd.DataFrame(rows)).save(tmp_path / "answers")


@pytest.mark.parametrize("verb", ["grade", "noise"])
def test_help_has_examples(verb: str, planner: Callable[..., Any]) -> None:
    """``--help`` shows examples that start with the verb."""
    ran = planner("labels", verb, "--help")
    assert ran.code == 0
    assert f"planner labels {verb}" in ran.out.split("Examples")[1]


def test_grading_adds_up_and_noise_is_said(answers: Path, tmp_path: Path, planner: Callable[..., Any]) -> None:
    """Answers become a folder of labels; counts add up in JSON and on a terminal; the noise of repeats is one sentence."""
    grading = ("labels", "grade", "answers", "-g", "numeric", "--references", "right.csv", "--out", "labels")
    ran = planner(*grading, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "160 answers: 159 graded by numeric v1, 1 not (1 rate_limit)" in ran.out
    assert "RateLimitError" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100
    by_model = {row["model"]: row for row in planner(*grading, "--json", cwd=tmp_path).json["models"]}
    assert by_model["small"]["answers"] == by_model["small"]["graded"] + by_model["small"]["rate_limit"] == 80
    assert by_model["big"]["quality"] == 1.0
    assert Labels.open(tmp_path / "labels").outcomes["grader"].unique().tolist() == ["numeric v1"]

    ran = planner("labels", "noise", tmp_path / "labels", "--reference", "big")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Two answers of one model to the same request are graded half the scale or more apart in")
    assert max(map(len, ran.out.splitlines())) <= 100
    said = planner("labels", "noise", tmp_path / "labels", "--json").json
    assert {row["share"] for row in said["shares"]} == {"differ", "gain_noise"}  # nothing is better than big


def test_a_judge_stops_at_the_budget_and_goes_on(answers: Path, tmp_path: Path, planner: Callable[..., Any]) -> None:
    """The first run says what was not asked; the same command with more money asks the rest; the cost is of both."""

    def mind(messages: list[dict[str, Any]]) -> str:
        shown = parts(messages)
        right = str(2 * int(shown["request"].split()[1]))
        first, second = (f"It is {right}." == shown[f"answer {i}"] for i in (1, 2))
        return f"Verdict: {'tie' if first == second else 1 if first else 2}"

    with judging(mind) as (url, seen):
        spec = "judge: {model: gpt-5-mini, against: log, limit_tokens: 500}"
        arguments = ("labels", "grade", answers, "-g", spec, "--base-url", url, "--out", tmp_path / "judged", "--json")
        first = planner(*arguments, "--budget", "0.0025").json
        asked = len(seen)
        assert {row["reason"] for row in first["ungraded"]} == {"rate_limit", "not asked"}
        second = planner(*arguments, "--budget", "1").json
        assert 0 < asked < len(seen)
        planner(*arguments, "--budget", "1")
    assert [row["reason"] for row in second["ungraded"]] == ["rate_limit"]
    assert second["cost_usd"] == pytest.approx(len(seen) * (100 * 0.25e-6 + 20 * 2e-6))
    assert second["grader"] == "judge:gpt-5-mini@order-swap v1"
    small = Labels.open(tmp_path / "judged").outcomes.query("model == 'small'")
    assert set(small["quality"]) == {0.0, 0.5}
    assert "two orders disagree in 0 %" in " ".join(planner("labels", "noise", tmp_path / "judged").out.split())


def test_people_are_a_grader(answers: Path, tmp_path: Path, planner: Callable[..., Any]) -> None:
    """A store of comparisons grades the answers that were compared, and raters' agreement is said beside the noise."""
    opened = Answers.open(answers)
    for rater in ("ada", "bob"):
        store = Store(opened, tmp_path / "ab", rater)
        while (pair := store.next()) is not None:
            store.choose(pair, "tie")
    said = planner("labels", "grade", answers, "-g", f"human: {tmp_path / 'ab'}", "--out", tmp_path / "human", "--json").json
    assert said["grader"] == "human@blind-ab v1"
    ran = planner("labels", "noise", tmp_path / "human", "--store", tmp_path / "ab")
    assert ran.code == 0, ran.err
    assert "2 raters chose alike in 100 %" in ran.out


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("-g", "exakt"), "Did you mean 'exact'"),
        (("-g", "exact"), "no grade for any of 160 answers: 159 no reference"),
        (("-g", "judge: gpt-5-mini", "--base-url", "http://127.0.0.1:9"), "Pass --budget USD"),
        (("-g", "judge: gpt-5-mini", "--api-key-env", "NO_SUCH_KEY"), "no environment variable NO_SUCH_KEY"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], shown: str, answers: Path, tmp_path: Path, planner: Callable[..., Any]
) -> None:
    """Exit code 2, one sentence on stderr, nothing written."""
    ran = planner("labels", "grade", answers, *arguments, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert shown in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
