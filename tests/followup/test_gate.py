"""A gate compares like with like, says what is shown in all and in parts, and quotes no prompt."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from planner.errors import InputError
from planner.followup.gate import gate
from planner.labels import Labels

N = 600


def labels(
    quality: Any = 1.0,
    *,
    model: str = "gpt-5.4",
    n: int = N,
    system: str = "Be kind.",
    items: dict[str, Any] | None = None,
    **outcomes: Any,
) -> Labels:
    """Make graded answers of one model to ``n`` questions of two apps, every second one with tools."""
    texts = [
        [{"role": "system", "content": system}, {"role": "user", "content": f"secret question {i} " + "word " * (i % 40)}] for i in range(n)
    ]
    asked = pd.DataFrame(
        {
            "request_id": [f"q{i}" for i in range(n)],
            "app": np.where(np.arange(n) % 3 == 0, "chat", "search"),
            "has_tools": np.arange(n) % 2 == 0,
            "messages": [json.dumps(t) for t in texts],
        }
    ).assign(**(items or {}))
    answered = asked[["request_id"]].assign(model=model, quality=quality, grader="exact v1", finish_reason="stop").assign(**outcomes)
    return Labels.of(asked, answered)


def marked(rows: np.ndarray, n: int = N) -> np.ndarray:
    """Return qualities of 1 but at ``rows``."""
    quality = np.ones(n)
    quality[rows] = 0.0
    return quality


def test_answers_that_differ_in_nothing_pass() -> None:
    """The same grades pass with code 0, no slice is worse, no item is named, and nothing more is needed."""
    found = gate(labels(model="gpt-5.5"), labels())
    assert (found.verdict, found.exit_code, found.difference.value) == ("pass", 0, 0.0)
    assert (found.slices["verdict"] != "worse").all()
    assert found.worse.empty
    assert np.isnan(found.needed)
    assert found.names == ("gpt-5.5", "gpt-5.4")


def test_a_clear_loss_fails_and_names_the_items() -> None:
    """Thirty in two hundred worse answers fail with code 1; the table of items is exactly those."""
    bad = np.arange(0, N, 7)
    found = gate(labels(marked(bad)), labels())
    assert (found.verdict, found.exit_code) == ("fail", 1)
    assert found.difference.high is not None
    assert found.difference.high < -found.margin
    assert sorted(found.worse["request_id"]) == sorted(f"q{i}" for i in bad)
    assert (found.worse["difference"] == -1).all()
    assert found.better == 0


def test_a_loss_in_one_slice_fails_though_the_whole_would_pass() -> None:
    """An app that loses half of its answers fails the gate, although better answers elsewhere hold up the mean; the words name it."""
    chat = np.arange(N) % 3 == 0
    before, after = np.ones(N), np.ones(N)
    after[chat & (np.arange(N) % 2 == 0)] = 0.0
    before[~chat & (np.arange(N) % 2 == 0)] = 0.0
    found = gate(labels(after), labels(before))
    assert found.difference.low is not None
    assert found.difference.low > 0
    assert found.verdict == "fail"
    worse = found.slices[found.slices["verdict"] == "worse"]
    assert worse[["dimension", "slice"]].to_numpy().tolist() == [["app", "chat"]]
    assert "in a slice" in found.text
    assert "app chat (-50.0)" in found.text


def test_few_items_are_inconclusive_with_the_number_that_would_do() -> None:
    """Sixty equal answers show nothing at two points: code 2, and about 190 items are asked for, which then pass."""
    found = gate(labels(n=60), labels(n=60))
    assert (found.verdict, found.exit_code) == ("inconclusive", 2)
    assert 180 <= found.needed <= 260
    n = int(found.needed)
    assert gate(labels(n=n), labels(n=n)).verdict == "pass"
    assert "items like these would let it pass" in found.text


def test_slices_split_the_items_and_hold_together() -> None:
    """Each dimension's slices add up to all items, and their bounds are wider than the whole's level would make them."""
    from planner.followup.gate_bounds import LEVEL, bounds, grouped
    from planner.followup.gate_pairs import pairs

    new, old = labels(marked(np.arange(0, N, 50))), labels()
    found = gate(new, old)
    assert found.slices.groupby("dimension")["items"].sum().unique().tolist() == [N]
    assert set(found.slices["dimension"]) == {"app", "length", "tools"}
    paired, row = pairs(new, old), found.slices.iloc[0]
    mask = (paired.items["app"] == row["slice"]).to_numpy()
    units = grouped(paired.difference[mask], paired.weight[mask], paired.unit[mask], found.margin)
    assert (row["low"], row["high"]) == bounds(units, found.margin, LEVEL / len(found.slices))
    assert row["low"] < bounds(units, found.margin)[0]


def test_what_else_changed_stands_beside() -> None:
    """Cost, tokens, cut answers and latency have both means and their difference, over the items of which both sides know them."""
    known = np.where(np.arange(N) < 500, 1_000.0, np.nan)
    old = labels(cost_usd=0.01, latency_ms=known, input_tokens=100, output_tokens=50)
    finish = np.where(np.arange(N) % 10 == 0, "length", "stop")
    new = labels(
        cost_usd=0.015, latency_ms=np.linspace(500, 1_500, N), input_tokens=120, output_tokens=40, reasoning_tokens=20, finish_reason=finish
    )
    table = gate(new, old).beside.set_index("measure")
    assert table.loc["cost [USD per answer]", ["baseline", "new", "difference"]].tolist() == pytest.approx([0.01, 0.015, 0.005])
    assert table.loc["input [tokens per answer]", "difference"] == pytest.approx(20)
    assert table.loc["output [tokens per answer]", "difference"] == pytest.approx(10)
    assert table.loc["answers cut or refused [share]", "difference"] == pytest.approx(0.1)
    assert table.loc["latency, p95 [ms]", "items"] == 500
    assert (table["low"].dropna() <= table["difference"][table["low"].notna()] + 1e-12).all()


def test_repeats_are_one_item() -> None:
    """A model asked twice counts with its mean grade, and the second asking adds no item."""
    old = labels()
    twice = pd.concat([old.outcomes, old.outcomes.assign(repeat=1, quality=0.0)])
    found = gate(Labels.of(old.items, twice), old)
    assert found.items == N
    assert found.difference.value == pytest.approx(-0.5)


def test_a_prompt_variant_is_named() -> None:
    """Answers to two named prompts are compared by naming them; without a name both are listed, and so is what a wrong name may be."""
    old = labels()
    both = Labels.of(
        old.items,
        pd.concat(
            [labels(q).outcomes.assign(prompt_variant=v) for q, v in ((1.0, "old prompt"), (marked(np.arange(0, N, 7)), "new prompt"))]
        ),
    )
    with pytest.raises(InputError, match=r"prompt variants 'new prompt', 'old prompt'.*--variant"):
        gate(both, both)
    with pytest.raises(InputError, match=r"against_variant 'older prompt'.*Did you mean 'old prompt'"):
        gate(both, both, variant="new prompt", against_variant="older prompt")
    found = gate(both, both, variant="new prompt", against_variant="old prompt")
    assert found.verdict == "fail"
    assert found.names == ("gpt-5.4 (new prompt)", "gpt-5.4 (old prompt)")
    assert gate(both, old, variant="old prompt").verdict == "pass"


def test_sessions_are_one_unit() -> None:
    """Turns of a session are one witness: four turns each leave a quarter of the units, and wider bounds for what they share."""
    session = {"session_id": [f"s{i // 4}" for i in range(N)]}
    bad = np.flatnonzero(np.arange(N) // 4 % 10 == 0)
    alone, together = gate(labels(marked(bad)), labels()), gate(labels(marked(bad), items=session), labels(items=session))
    assert (alone.units, together.units) == (N, N // 4)
    assert together.difference.low is not None
    assert alone.difference.low is not None
    assert together.difference.low < alone.difference.low


def test_one_of_several_models_is_named() -> None:
    """Both sides may be the same labels with two models; without names they are refused, and a misspelt name is corrected."""
    old = labels()
    both = Labels.of(old.items, pd.concat([old.outcomes, old.outcomes.assign(model="gpt-5.5", quality=0.0)]))
    assert gate(both, both, model="gpt-5.5", against="gpt-5.4").verdict == "fail"
    with pytest.raises(InputError, match="one model a side"):
        gate(both, both)
    with pytest.raises(InputError, match=r"did you mean 'gpt-5\.5'|Did you mean 'gpt-5\.5'"):
        gate(both, both, model="gpt-5.6", against="gpt-5.4")


def test_a_prompt_variant_is_compared_with_the_plain_prompt() -> None:
    """Answers to an edited prompt, labelled as a variant, stand against the plain ones under their own name."""
    found = gate(labels(prompt_variant="v2"), labels())
    assert found.names == ("gpt-5.4 (v2)", "gpt-5.4")


def test_a_system_prompt_may_change_and_a_question_may_not() -> None:
    """The prompt edit that a gate is for is accepted; another question under the same id is refused without quoting it."""
    assert gate(labels(system="Be brief."), labels()).verdict == "pass"
    other = [json.dumps([{"role": "user", "content": f"something private {i}"}]) for i in range(N)]
    with pytest.raises(InputError, match="users' turns differ") as refused:
        gate(labels(items={"messages": other}), labels())
    assert "private" not in str(refused.value)
    assert "secret" not in str(refused.value)


def _without_one(new: Labels) -> Labels:
    return new.take(np.arange(N) != 5)


def _ungraded(new: Labels) -> Labels:
    return Labels.of(new.items, new.outcomes[new.outcomes["request_id"] != "q5"])


def _by_another(new: Labels) -> Labels:
    return Labels.of(new.items, new.outcomes.assign(grader="judge v2"))


def _against(new: Labels) -> Labels:
    return Labels.of(new.items, new.outcomes, against="gpt-5.4-nano")


def _other_references(new: Labels) -> Labels:
    return Labels.of(new.items, new.outcomes.assign(reference="another"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without_one, "1 items of the baseline that the new labels do not have, 0 the other way round, 'q5' first"),
        (_ungraded, "1 of 600 items without a grade of gpt-5.4 among the new labels, 'q5' first"),
        (_by_another, r"600 items with different graders .*\(judge v2 and exact v1\)"),
        (_against, "new grades against gpt-5.4-nano, the baseline's against None"),
        (_other_references, "600 items with different right answers"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(change: Any, says: str) -> None:
    """Another evaluation set, an item without a grade, another grader, another opponent or another right answer is refused."""
    old = labels(reference="right")
    with pytest.raises(InputError, match=says):
        gate(change(labels(reference="right")), old)


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_is_above_0_and_below_1(margin: float) -> None:
    """A margin that no test could use is refused."""
    with pytest.raises(InputError, match="margin"):
        gate(labels(n=20), labels(n=20), margin=margin)


def test_no_word_of_a_prompt_comes_out() -> None:
    """Text, Markdown, notebook and tables name requests by id only; the Markdown has a row a slice and a headline with the verdict."""
    found = gate(labels(marked(np.arange(0, N, 7))), labels(cost_usd=0.01))
    shown = found.text + found.markdown + found._repr_html_() + found.worse.to_string() + found.table.to_string()
    assert "secret" not in shown
    assert "question" not in shown
    assert found.markdown.startswith("### ❌ FAIL: ")
    assert sum(line.startswith(f"| {d}") for line in found.markdown.split("\n") for d in ("all", "app", "length", "tools")) == len(
        found.table
    )


@pytest.mark.parametrize("n", [1, 2, 30])
def test_few_items_without_text_are_no_error(n: int) -> None:
    """A single item, and items that nobody kept the text of, are inconclusive, with bounds that hold the difference."""
    bare = pd.DataFrame({"request_id": [f"q{i}" for i in range(n)]})
    sides = [Labels.of(bare, bare.assign(model=m, quality=q, grader="exact v1")) for m, q in (("new", 0.9), ("old", 1.0))]
    found = gate(*sides)
    assert found.verdict == "inconclusive"
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert found.difference.low <= -0.1 <= found.difference.high
    assert "No number of items" in found.text
