"""Blind comparisons: every choice is on disk, nobody's work is lost or seen twice, and grades follow from the choices alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.labels.ab import CHOICES, Pair, Store, choices, human
from planner.labels.answers import Answers
from planner.labels.grading import grade
from planner.labels.named import grader
from planner.labels.raters import agreement, krippendorff


def answers_of(n: int = 6, models: tuple[str, ...] = ("home", "cheap")) -> Answers:
    """Return answers of ``models`` to ``n`` questions; the last question got the same answer from all."""
    ids = [f"q{i}" for i in range(n)]
    items = pd.DataFrame({"request_id": ids, "messages": [json.dumps([{"role": "user", "content": f"ask {i}"}]) for i in ids]})
    rows = [
        {"request_id": i, "model": m, "source": "run", "response": "same" if i == ids[-1] else f"{i} by {m}"} for i in ids for m in models
    ]
    return Answers.of(items, pd.DataFrame(rows))


def work(store: Store, choose: Callable[[Pair], str], at_most: int = 10**6) -> int:
    """Go through the open pairs; return how many there were."""
    done = 0
    while done < at_most and (pair := store.next()) is not None:
        store.choose(pair, choose(pair))
        done += 1
    return done


def cheap_wins(pair: Pair) -> str:
    """Choose the cheap model's side, by its text."""
    return "left" if "cheap" in pair.left else "right"


def test_choices_become_grades_on_either_side(tmp_path: Path) -> None:
    """Whoever prefers the candidate gives it 1, whatever the side; the home model is 0.5 and equal answers tie unseen."""
    answers = answers_of(40)
    store = Store(answers, tmp_path / "ab", "ada", against="home")
    sides = set()

    def choose(pair: Pair) -> str:
        sides.add("cheap" in pair.left)
        assert pair.prompt.startswith("[user]\nask q")
        return cheap_wins(pair)

    assert work(store, choose) == 39
    assert sides == {True, False}
    graded = grade(answers, human(tmp_path / "ab"))
    quality = graded.labels.quality(("cheap", "home"))
    assert quality[:-1, 0].tolist() == [1.0] * 39
    assert quality[-1].tolist() == [0.5, 0.5]
    assert set(quality[:, 1]) == {0.5}
    assert graded.grader == "human@blind-ab v1" == grader(f"human: {tmp_path / 'ab'}").name


def test_every_choice_counts_as_it_is_written(tmp_path: Path) -> None:
    """Win 1, loss 0, tie and both bad 0.5 with the latter counted, skip and unseen not graded; raters are averaged."""
    answers = answers_of(7)
    ada = Store(answers, tmp_path / "ab", "ada", against="home")
    said = {"q0": "win", "q1": "loss", "q2": "tie", "q3": "both bad", "q4": "skip", "q5": None}

    def choose(pair: Pair) -> str:
        what = said[pair.prompt.rpartition(" ")[2]] or "tie"
        return cheap_wins(pair) if what == "win" else {"left": "right", "right": "left"}[cheap_wins(pair)] if what == "loss" else what

    work(ada, choose)
    while (undone := ada.undo()) is not None and not undone.prompt.endswith("q5"):
        pass
    work(ada, choose)
    for _ in range(6):  # q5 comes last again: taken back, it stays open
        if (last := ada.undo()) is not None and last.prompt.endswith("q5"):
            break
    work(ada, lambda p: "skip" if p.prompt.endswith("q5") else choose(p))
    bob = Store(answers, tmp_path / "ab", "bob", against="home")
    work(bob, lambda p: "tie" if p.prompt.endswith("q0") else "skip")
    graded = grade(answers, human(tmp_path / "ab"))
    cheap = graded.labels.outcomes.query("model == 'cheap'").set_index("request_id")
    assert cheap["quality"].to_dict() == {"q0": 0.75, "q1": 0.0, "q2": 0.5, "q3": 0.5, "q6": 0.5}
    assert json.loads(cheap["validators"]["q3"]) == {"raters": 1, "both_bad": 1}
    assert graded.ungraded[["request_id", "reason"]].to_numpy().tolist() == [["q4", "skipped"], ["q5", "skipped"]]
    fresh = grade(answers, human(Store(answers, tmp_path / "new", "ada", against="home").folder))
    assert fresh.ungraded["reason"].tolist() == ["not compared"] * 6


def test_a_choice_is_on_disk_before_the_next_pair(tmp_path: Path) -> None:
    """A process that is killed right after a choice has lost nothing; another that broke off in a line loses that line alone."""
    answers = answers_of(5)
    code = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_ab import answers_of
from planner.labels.ab import Store
store = Store(answers_of(5), sys.argv[1], "ada", against="home")
store.choose(store.next(), "tie")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "ab"), str(Path(__file__).parent)], check=False)
    store = Store(answers, tmp_path / "ab", "ada", against="home")
    assert store.progress == (1, 4)
    with (tmp_path / "ab" / "ada.jsonl").open("a") as file:
        file.write('{"pair": "half a li')
    again = Store(answers, tmp_path / "ab", "ada", against="home")
    assert again.progress == (1, 4)
    assert work(again, lambda p: "tie") == 3
    assert Store(answers, tmp_path / "ab", "ada", against="home").progress == (4, 4)


def test_undo_takes_back_one_choice_at_a_time(tmp_path: Path) -> None:
    """Undone pairs come again, in a file to which lines are only added."""
    store = Store(answers_of(5), tmp_path / "ab", "ada", against="home")
    pairs = []
    for choice in ("left", "right"):
        pair = store.next()
        assert pair is not None
        pairs.append(pair)
        store.choose(pair, choice)
    file = tmp_path / "ab" / "ada.jsonl"
    before = file.read_bytes()
    assert store.undo() == pairs[1]
    assert store.next() == pairs[1]
    assert store.undo() == pairs[0]
    assert store.undo() is None
    assert store.progress == (0, 4)
    assert file.read_bytes().startswith(before)
    assert choices(tmp_path / "ab").empty


def test_two_people_share_the_work(tmp_path: Path) -> None:
    """Both see the shared pairs, in the same order and on sides of their own; every other pair is seen by one of them."""
    answers = answers_of(101)
    stores = [Store(answers, tmp_path / "ab", name, against="home", shared=20) for name in ("ada", "bob")]
    seen: list[list[Pair]] = [[], []]
    while any(s.next() for s in stores):
        for store, mine in zip(stores, seen, strict=True):
            if (pair := store.next()) is not None:
                mine.append(pair)
                store.choose(pair, cheap_wins(pair))
    first, second = ([p.id for p in mine] for mine in seen)
    assert first[:20] == second[:20]
    assert not set(first[20:]) & set(second[20:])
    assert len({*first, *second}) == 100
    assert sum(a.candidate_left != b.candidate_left for a, b in zip(seen[0][:20], seen[1][:20], strict=True)) > 3
    assert [s.progress[0] for s in stores] == [60, 60]
    assert sorted(f.name for f in (tmp_path / "ab").iterdir()) == ["ab.json", "ada.jsonl", "bob.jsonl"]
    assert (tmp_path / "ab").stat().st_mode & 0o077 == 0
    assert (tmp_path / "ab" / "ada.jsonl").stat().st_mode & 0o077 == 0


def test_a_choice_on_other_texts_is_not_a_choice_on_these(tmp_path: Path) -> None:
    """When an answer was fetched anew, its pair is open again and the old choice grades nothing."""
    answers = answers_of(3)
    work(Store(answers, tmp_path / "ab", "ada", against="home"), lambda p: "tie")
    rows = answers.rows.assign(response=answers.rows["response"].str.replace("q0 by cheap", "something new"))
    changed = Answers.of(answers.items, rows)
    assert Store(changed, tmp_path / "ab", "ada", against="home").progress == (1, 2)
    assert grade(changed, human(tmp_path / "ab")).ungraded["reason"].tolist() == ["not compared"]


def test_a_store_keeps_to_what_it_was_begun_with(tmp_path: Path) -> None:
    """Another home model or seed, a folder of other files, a strange name and an unknown choice are refused in one sentence."""
    answers = answers_of(3)
    store = Store(answers, tmp_path / "ab", "ada", against="home")
    with pytest.raises(InputError, match="as it was begun"):
        Store(answers, tmp_path / "ab", "ada", against="cheap")
    with pytest.raises(InputError, match=r"rater '\.\./x'"):
        Store(answers, tmp_path / "ab", "../x", against="home")
    pair = store.next()
    assert pair is not None
    with pytest.raises(InputError, match="choice 'maybe'; expected one of left, right"):
        store.choose(pair, "maybe")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.txt").write_text("")
    with pytest.raises(InputError, match="which holds other files"):
        Store(answers, tmp_path / "full", "ada", against="home")
    with pytest.raises(InputError, match="expected a folder of comparisons"):
        human(tmp_path / "nowhere")


@settings(max_examples=25)
@given(st.lists(st.sampled_from([*CHOICES, "undo"]), max_size=30))
def test_what_stands_is_what_was_not_taken_back(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> None:
    """After any row of choices and undos, the file says what a stack would, and a new store goes on from there."""
    answers = answers_of(12)
    folder = tmp_path_factory.mktemp("ab") / "ab"
    store = Store(answers, folder, "ada", against="home")
    stack: list[tuple[str, str]] = []
    for what in said:
        pair = store.next()
        if what == "undo":
            undone = store.undo()
            assert (undone.id if undone else None) == (stack.pop()[0] if stack else None)
        elif pair is not None:
            store.choose(pair, what)
            stack.append((pair.id, what))
    table = choices(folder)
    assert list(zip(table["pair"], table["choice"], strict=True)) == stack
    assert Store(answers, folder, "ada", against="home").progress == (len(stack), 11)


def test_agreement_between_raters(tmp_path: Path) -> None:
    """Raters who agree on three of four shared pairs agree in 75 %, with an interval; alone there is nothing to compare."""
    answers = answers_of(61)
    ada, bob = (Store(answers, tmp_path / "ab", n, against="home", shared=60) for n in ("ada", "bob"))
    work(ada, cheap_wins)
    assert agreement(tmp_path / "ab").share is None
    assert "One rater" in agreement(tmp_path / "ab").text
    turn = iter(range(60))
    work(bob, lambda p: "tie" if next(turn) % 4 == 0 else cheap_wins(p))
    found = agreement(tmp_path / "ab")
    assert found.share is not None
    assert (found.share.value, found.share.n) == (0.75, 60)
    assert found.share.low is not None
    assert found.table.loc["ada", "judged"] == 60
    assert "75 %" in found.text


def test_krippendorff_by_the_book() -> None:
    """The interval alpha of Krippendorff's own example (Computing Krippendorff's Alpha-Reliability, 2011, section E) is 0.849."""
    table = {
        "A": "1 2 3 3 2 1 4 1 2 . . .", "B": "1 2 3 3 2 2 4 1 2 5 . 3",
        "C": ". 3 3 3 2 3 4 2 2 5 1 .", "D": "1 2 3 3 2 4 4 1 2 5 1 .",
    }  # fmt: skip
    rows = [(unit, float(v)) for line in table.values() for unit, v in enumerate(line.split()) if v != "."]
    units, values = zip(*rows, strict=True)
    assert krippendorff(pd.Series(units), pd.Series(values)) == pytest.approx(0.849, abs=0.0005)


def test_comparisons_of_version_1(repository: Path) -> None:
    """A folder that version 1 wrote grades the same answers for ever: one win, one tie, one skip that was taken back."""
    folder = repository / "tests" / "formats" / "v1" / "comparisons"
    graded = grade(answers_of(4), human(folder))
    assert sorted(graded.labels.outcomes.query("model == 'cheap'")["quality"]) == [0.5, 0.5, 1.0]
    assert graded.ungraded["reason"].tolist() == ["not compared"]
