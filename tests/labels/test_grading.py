"""Grading: every answer asked for is a label or an ungraded row with its reason, whatever the grader does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.labels.answers import ANSWER_STATES, Answers
from planner.labels.command import command
from planner.labels.graders import contains, exact, grounded, json_schema, numeric, regex
from planner.labels.grading import Case, Grade, Grader, grade, rowwise
from planner.labels.named import grader, read_references
from planner.labels.table import Labels


def answers_of(rows: list[dict[str, Any]], **items: Any) -> Answers:
    """Return answers to the requests named in ``rows``; ``items`` are columns of the items."""
    ids = sorted({r["request_id"] for r in rows})
    return Answers.of(pd.DataFrame({"request_id": ids, **items}), pd.DataFrame(rows).assign(source="run"), seed=5)


def case(response: str, reference: str | None = None, messages: str | None = None) -> Case:
    """Return one case."""
    return Case("r", "m", "", 0, "default", messages, response, reference)


def quality(made: Grader, response: str, reference: str | None = None, messages: str | None = None) -> float:
    """Return one grade."""
    return made.verdicts([case(response, reference, messages)])[0].quality


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("mst"), st.sampled_from(ANSWER_STATES)), min_size=1, unique_by=lambda t: t[:2]
    )
)
def test_counts_add_up(made: list[tuple[str, str, str]]) -> None:
    """Answers are graded rows plus ungraded rows by reason, per model and in all, and nothing failed has a quality."""
    answers = answers_of([{"request_id": r, "model": m, "status": s, "response": "4" if s == "ok" else None} for r, m, s in made])
    graded = grade(answers, exact(), references={"a": "4", "b": "5"})
    failed = [s for _, _, s in made if s != "ok"]
    without = [r for r, _, s in made if s == "ok" and r == "c"]
    assert len(graded.labels.outcomes) + len(graded.ungraded) == len(made)
    assert sorted(graded.ungraded["reason"]) == sorted(failed + ["no reference"] * len(without))
    table = graded.table
    reasons = [c for c in table if c not in ("answers", "graded", "quality")]
    assert (table["answers"] == table["graded"] + table[reasons].sum(axis=1)).all()
    assert table["answers"].to_dict() == pd.Series([m for _, m, _ in made]).value_counts().to_dict()
    assert set(graded.labels.outcomes["quality"]) <= {0.0, 1.0}


def test_items_weights_and_meta_survive(tmp_path: Path) -> None:
    """Weights and the answers' meta go into the labels, the reference beside each grade, and the folder holds what was not graded."""
    answers = answers_of(
        [{"request_id": "a", "model": "m", "response": "4", "finish_reason": "length", "output_tokens": 3, "cost_usd": 0.1},
         {"request_id": "a", "model": "s", "status": "content", "error_class": "filtered"}], weight=[7.5],
    )  # fmt: skip
    graded = grade(answers, exact(), references={"a": "4"})
    opened = Labels.open(graded.save(tmp_path / "graded"))
    assert opened.items["weight"].tolist() == [7.5]
    row = opened.outcomes.iloc[0]
    assert (row["reference"], row["grader"], row["finish_reason"], row["output_tokens"], row["cost_usd"]) == (
        "4",
        "exact v1",
        "length",
        3,
        0.1,
    )
    assert (opened.meta["seed"], opened.meta["ungraded_by_reason"], opened.meta["format"]) == (5, {"content": 1}, "planner.labels")
    left = pd.read_parquet(tmp_path / "graded" / "ungraded.parquet")
    assert left[["model", "reason", "detail"]].to_numpy().tolist() == [["s", "content", "filtered"]]
    assert "without a grade: s 1" in opened.text


def test_an_empty_answer_is_graded_as_empty() -> None:
    """A call that succeeded with no text is a wrong answer, not a missing one."""
    graded = grade(answers_of([{"request_id": "a", "model": "m", "response": None}]), exact(), references={"a": "4"})
    assert graded.labels.outcomes["quality"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("made", "response", "reference", "wanted"),
    [
        (exact(), " The  Answer\n", "the answer", 1.0),
        (exact(case=True), "the answer", "The answer", 0.0),
        (numeric(), "I get 1,234.50 EUR", "1234.5", 1.0),
        (numeric(rel=0.01), "101", "100", 1.0),
        (numeric(rel=0.01), "101.1", "100", 0.0),
        (numeric(abs=2), "98", "100", 1.0),
        (numeric(), "12%", "0.12", 1.0),
        (numeric(), "12", "12 %", 1.0),
        (numeric(), "0.12", "12%", 1.0),
        (numeric(), "1.2", "12%", 0.0),
        (numeric(), "I do not know", "4", 0.0),
        (regex(r"^[A-D]$"), "C", None, 1.0),
        (regex(r"yes", case=False), "Oh YES", None, 1.0),
        (regex(r"answer is \(?([A-D])"), "the answer is A. No: the answer is (C)", "C", 1.0),
        (regex(r"answer is \(?([A-D])"), "the answer is A", "C", 0.0),
        (regex(r"answer is ([A-D])"), "none", "C", 0.0),
        (json_schema({"type": "array"}), "```json\n[1]\n```", None, 1.0),
        (json_schema({"type": "array"}, fenced=False), "```json\n[1]\n```", None, 0.0),
        (json_schema(), "{broken", None, 0.0),
        (contains(["a", "B"]), "b and A", None, 1.0),
        (contains(), "Ada owes 12 EUR", '["ada", "12 eur"]', 1.0),
        (contains("x"), "x but not the rest", "the  REST!", 0.0),
    ],
)  # fmt: skip
def test_text_graders(made: Grader, response: str, reference: str | None, wanted: float) -> None:
    """Each grader says what its docstring says."""
    assert quality(made, response, reference) == wanted


def test_grounded_is_a_share_and_says_what_is_absent() -> None:
    """One of two claims in the context is one half; no claim and no context are reasons, not grades."""
    asked = json.dumps([{"role": "user", "content": "Order A7 by Ada: 12 EUR"}])
    found = grounded().verdicts([case("You paid 12 but owe 99", None, asked), case("you paid it", None, asked), case("12")])
    assert found[0].quality == 0.5
    assert found[0].checks["absent"] == ("99",)
    assert [g.reason for g in found[1:]] == ["nothing to look up", "no context"]


def test_a_reference_without_a_number_is_not_graded() -> None:
    """A numeric grade needs a number to compare with."""
    found = numeric().verdicts([case("4", "four")])[0]
    assert (found.reason, found.detail) == ("no number in the reference", "four")


_SCRIPT = """
import json, sys, time
case = json.load(sys.stdin)
said = case["response"]
if said == "crash": sys.exit("boom " + case["request_id"])
if said == "hang": time.sleep(60)
print({"half": '{"quality": 0.5, "why": "half"}', "true": "true", "two": "2", "nan": "NaN", "list": "[1]"}.get(said, said))
"""


def test_a_command_grades_and_its_failures_are_reasons(tmp_path: Path) -> None:
    """A number or an object is a grade; a crash, a hang or anything else printed is a reason with what was seen."""
    script = tmp_path / "mine.py"
    script.write_text(_SCRIPT)
    made = command(f"'{sys.executable}' '{script}'", timeout_s=3, concurrency=2)
    said = ["0.25", "half", "true", "crash", "hang", "two", "nan", "list", "fine"]
    found = made.verdicts([case(s) for s in said])
    assert [g.quality for g in found[:3]] == [0.25, 0.5, 1.0]
    assert found[1].checks == {"why": "half"}
    assert [g.reason for g in found[3:]] == ["exit 1", "timeout", *["no quality"] * 4]
    assert found[3].detail == "boom r"
    assert made.name == f"command:{Path(sys.executable).name} mine.py v1"


def test_a_command_that_is_not_there_is_refused_before_anything_runs() -> None:
    """A misspelt program is one error, not a reason in every row."""
    with pytest.raises(InputError, match="a program that can be run"):
        command("no-such-program-anywhere --x")


def test_comparisons_give_the_home_model_a_tie() -> None:
    """Against a model, its own plain answers are 0.5 by definition, and others see its answer of the same repeat as reference."""
    rows = [{"request_id": "a", "model": m, "repeat": r, "response": f"{m}{r}"} for m in ("home", "other") for r in (0, 1)]
    rows += [
        {"request_id": "a", "model": "other", "repeat": 2, "response": "x"},
        {"request_id": "a", "model": "home", "prompt_variant": "short", "response": "y"},
    ]
    seen: list[tuple[str, str | None]] = []

    def verdict(c: Case) -> Grade:
        seen.append((c.response, c.reference))
        return Grade(1.0)

    graded = grade(answers_of(rows), Grader("mine", rowwise(verdict), needs_reference=True, against="home"))
    assert seen == [("other0", "home0"), ("other1", "home1"), ("x", "home0"), ("y", "home0")]
    own = graded.labels.outcomes.query("model == 'home' and prompt_variant == ''")
    assert own["quality"].tolist() == [0.5, 0.5]
    assert graded.labels.meta["against"] == "home"


def test_comparing_with_the_log_takes_each_requests_own_model() -> None:
    """With ``log``, today's model of each request is the home; a request without a logged answer is not graded."""
    rows = [{"request_id": r, "model": m, "response": m, "source": s} for r, m, s in
            [("a", "x", "log"), ("a", "y", "run"), ("b", "y", "log"), ("b", "x", "run"), ("c", "x", "run")]]  # fmt: skip
    answers = Answers.of(pd.DataFrame({"request_id": list("abc")}), pd.DataFrame(rows))
    graded = grade(answers, Grader("mine", rowwise(lambda c: Grade(0.0)), needs_reference=True, against="log"))
    outcomes = graded.labels.outcomes.set_index(["request_id", "model"])["quality"].to_dict()
    assert outcomes == {("a", "x"): 0.5, ("a", "y"): 0.0, ("b", "y"): 0.5, ("b", "x"): 0.0}
    assert graded.ungraded[["request_id", "reason"]].to_numpy().tolist() == [["c", "no reference"]]


def test_comparisons_need_somebody_to_compare_with() -> None:
    """A model that answered nothing, and a log that is not among the answers, are named."""
    answers = answers_of([{"request_id": "a", "model": "gpt-5", "response": "x"}])
    with pytest.raises(InputError, match=r"model .gpt-5o.; expected one that answered: gpt-5\. Did you mean .gpt-5."):
        grade(answers, Grader("mine", rowwise(lambda c: Grade(0.0)), against="gpt-5o"))
    with pytest.raises(InputError, match="without one of the log"):
        grade(answers, Grader("mine", rowwise(lambda c: Grade(0.0)), against="log"))


@pytest.mark.parametrize(
    ("given_back", "shown"), [([Grade(1.5)], "quality 1.5"), ([Grade()], "quality nan"), ([], "0 grades of bad for 1")]
)
def test_a_grader_that_breaks_its_word_is_refused(given_back: list[Grade], shown: str) -> None:
    """A quality outside [0, 1], none without a reason, or too few grades are errors that name the grader."""
    with pytest.raises(InputError, match=shown):
        grade(answers_of([{"request_id": "a", "model": "m", "response": "x"}]), Grader("bad", lambda cases: given_back))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("exact", "exact v1"),
        ({"exact": {"case": True}}, "exact@case v1"),
        ("numeric: {rel: 0.01, abs: 0.5}", "numeric@rel=0.01,abs=0.5 v1"),
        ("numeric:0.01", "numeric@rel=0.01 v1"),
        ({"numeric": 0.01}, "numeric@rel=0.01 v1"),
        ("'regex: ^A'", None),
        ("regex: ^A", regex("^A").name),
        ("contains: [a, b]", contains(["a", "b"]).name),
        ("grounded", "grounded v1"),
    ],
)
def test_a_shell_and_yaml_say_the_same(spec: Any, name: str | None) -> None:
    """A text is read as YAML would be; a setting without a name goes to the first parameter."""
    assert grader(spec).name == (name or regex("^A").name)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("exakt", "grader 'exakt'; expected one of exact.* Did you mean 'exact'"),
        ("numeric: {tol: 1}", "setting 'tol' of grader numeric"),
        ("numeric: a lot", "rel 'a lot' of grader numeric; expected float"),
        ("regex: 12", r"pattern 12 of grader regex; expected str. Put it in quotes"),
        ("regex: '('", "expected a regular expression"),
        ("grounded: 3", "a setting for grader grounded"),
        ("schema: nowhere.json", "a file with a JSON schema"),
        ("{exact: , numeric: 1}", "one name"),
        ("regex: [", "expected YAML"),
    ],
)
def test_a_misspelt_grader_is_one_sentence(spec: str, match: str) -> None:
    """Unknown names and settings, wrong types and broken YAML say what would be right."""
    with pytest.raises(InputError, match=match):
        grader(spec)


def test_a_schema_comes_from_a_file(tmp_path: Path) -> None:
    """``schema: FILE`` reads the file; its content is part of the grader's name."""
    (tmp_path / "s.json").write_text('{"type": "array"}')
    made = grader(f"schema: {tmp_path / 's.json'}")
    assert quality(made, "[]") == 1.0
    assert made.name == json_schema({"type": "array"}).name != json_schema().name


def test_a_grader_may_stand_in_a_file(tmp_path: Path) -> None:
    """A YAML file says what the shell would say."""
    (tmp_path / "g.yaml").write_text("numeric:\n  rel: 0.01\n")
    assert grader(str(tmp_path / "g.yaml")).name == grader("numeric: {rel: 0.01}").name


def test_right_answers_come_from_a_table(tmp_path: Path) -> None:
    """CSV and JSON lines are read, columns guessed, lists kept as JSON, gaps left out and contradictions refused."""
    (tmp_path / "a.csv").write_text("id,expected\na,4\nb,\n")
    assert read_references(tmp_path / "a.csv") == {"a": "4"}
    (tmp_path / "b.jsonl").write_text('{"request_id": "a", "reference": ["x", 1]}\n{"request_id": "b", "reference": 2}\n')
    assert read_references(tmp_path / "b.jsonl") == {"a": '["x", 1]', "b": "2"}
    (tmp_path / "c.csv").write_text("id,expected\na,4\na,5\n")
    with pytest.raises(InputError, match="two right answers for request 'a'"):
        read_references(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_text("id,colour\na,red\n")
    with pytest.raises(InputError, match="columns id, colour; expected a column named reference or answer"):
        read_references(tmp_path / "d.csv")
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_references(tmp_path / "nowhere.csv")
