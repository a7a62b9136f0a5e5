"""Tables of graded answers become Labels; what is guessed or absent is said, what is wrong is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.labels import Labels, read_labels
from planner.labels.columns import quality_values

_WIDE = pd.DataFrame(
    {
        "domain": ["a", "a", "b"],
        "prompt": ["Say hi", "say  HI!", "2+2?"],
        "correct_small": [True, False, None],
        "correct_large_1": [1.0, 0.5, 1.0],
        "cost_small": [0.1, 0.2, 0.3],
        "cost_large_1": [1.0, 2.0, 3.0],
    }
)


def _write(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in json.loads(frame.to_json(orient="records"))), "utf-8")
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_wide_table_is_read_alike_from_every_container(tmp_path: Path, suffix: str) -> None:
    """Prompt, app, models, qualities and costs are found by name; an ungraded answer is absent and counted."""
    labels = read_labels(_write(tmp_path / f"l{suffix}", _WIDE), models={"large_1": "large-1"})
    assert labels.models == ("large-1", "small")
    np.testing.assert_array_equal(labels.quality(), [[1, 1], [0.5, 0], [1, np.nan]])
    assert labels.items["app"].tolist() == ["a", "a", "b"]
    assert json.loads(labels.items["messages"][0]) == [{"role": "user", "content": "Say hi"}]
    assert labels.outcomes.groupby("model")["cost_usd"].sum().to_dict() == pytest.approx({"large-1": 6.0, "small": 0.3})
    assert labels.meta["ungraded"] == 1
    assert labels.meta["guessed"] == ["app", "prompt", "quality"]


def test_near_duplicates_share_a_group(tmp_path: Path) -> None:
    """Case, spacing and punctuation make no new group, other words do."""
    group = read_labels(_write(tmp_path / "l.parquet", _WIDE)).items["group"].tolist()
    assert group[0] == group[1] != group[2]


def test_a_row_without_a_prompt_is_kept_by_its_id(tmp_path: Path) -> None:
    """Among rows with prompts, one without is an item of its id and group, without text; without an id too, it is left out and counted."""
    frame = pd.DataFrame({"prompt": ["Say hi", "", "Say ho"], "score_m": [1, 0, 0]})
    labels = read_labels(_write(tmp_path / "ids.csv", frame.assign(request_id=["a", "b", "c"])))
    assert labels.items["text_state"].tolist() == ["full", "none", "full"]
    assert labels.items["request_id"][1] == labels.items["group"][1] == "b"
    labels = read_labels(_write(tmp_path / "none.csv", frame))
    assert labels.quality().tolist() == [[1], [0]]
    assert labels.items["text_state"].tolist() == ["full", "full"]
    assert labels.meta["aside"] == {"without a prompt and without an id": 1}
    assert "1 records left out: without a prompt and without an id" in labels.text


def test_ids_are_hashes_of_the_prompt_and_repeats_get_a_suffix(tmp_path: Path) -> None:
    """The same prompt has the same id in any file; twice in one file, the second is numbered."""
    twice = pd.concat([_WIDE.iloc[[0, 2]], _WIDE.iloc[[0]]], ignore_index=True)
    first = read_labels(_write(tmp_path / "a.parquet", _WIDE)).items["request_id"].tolist()
    again = read_labels(_write(tmp_path / "b.parquet", twice)).items["request_id"].tolist()
    assert again == [first[0], first[2], f"{first[0]}-2"]


def test_ids_of_the_table_are_kept(tmp_path: Path) -> None:
    """A unique id column is used, so that labels join the traffic; one that repeats is not taken for an id."""
    unique = _write(tmp_path / "u.parquet", _WIDE.assign(sample_id=["x", "y", "z"]))
    repeated = _write(tmp_path / "r.parquet", _WIDE.assign(id=[1, 1, 2]))
    assert read_labels(unique).items["request_id"].tolist() == ["x", "y", "z"]
    assert read_labels(repeated).meta["columns"]["request_id"] is None
    with pytest.raises(InputError, match=r"request_id '1' twice"):
        read_labels(repeated, request_id="id")


def test_messages_stay_messages(tmp_path: Path) -> None:
    """A column of chats, as JSON text or as lists, is kept as roles and contents."""
    chat = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    frame = pd.DataFrame({"messages": [json.dumps(chat)], "score_m": [1.0]})
    assert json.loads(read_labels(_write(tmp_path / "a.parquet", frame)).items["messages"][0]) == chat
    (tmp_path / "b.jsonl").write_text(json.dumps({"messages": chat, "score_m": 1}), "utf-8")
    assert json.loads(read_labels(tmp_path / "b.jsonl").items["messages"][0]) == chat


def test_a_tall_table_in_our_columns_needs_no_names(tmp_path: Path) -> None:
    """One row per request and model, with repeats and graders, comes through as it is."""
    frame = pd.DataFrame(
        {
            "request_id": ["r1", "r1", "r1", "r2"],
            "model": ["a", "b", "b", "a"],
            "repeat": [0, 0, 1, 0],
            "quality": [1, 0.5, 1.0, np.nan],
            "prompt": ["Hi", "Hi", "Hi", "Yo"],
            "grader": "exact-1",
        }
    )
    labels = read_labels(_write(tmp_path / "tall.parquet", frame), models={"a": "A"})
    np.testing.assert_array_equal(labels.quality(), [[1, 0.75], [np.nan, np.nan]])
    assert (len(labels.items), labels.meta["ungraded"], labels.outcomes["grader"].unique().tolist()) == (2, 1, ["exact-1"])


def test_saved_labels_are_opened_as_they_are(tmp_path: Path) -> None:
    """A folder written by save is the same labels again."""
    labels = read_labels(_write(tmp_path / "l.parquet", _WIDE))
    labels.save(tmp_path / "saved")
    again = read_labels(tmp_path / "saved")
    assert isinstance(again, Labels)
    assert again.hash == labels.hash


def test_columns_named_after_models_are_found(tmp_path: Path) -> None:
    """Without any known pattern, columns of grades are the models, as in RouteLLM's own tables."""
    frame = pd.DataFrame({"prompt": ["x", "y"], "vendor/model-1": [True, False], "gpt-4": ["True", "False"], "note": ["p", "q"]})
    assert read_labels(_write(tmp_path / "l.parquet", frame)).models == ("gpt-4", "vendor/model-1")


def test_routerbench_columns_need_no_names(tmp_path: Path) -> None:
    """Its ids, apps, stringified prompts, scores and ``model|total_cost`` columns are found; the oracle is no model."""
    frame = pd.DataFrame(
        {
            "sample_id": ["mmlu.val.1", "gsm.2"],
            "prompt": ["['Say hi']", "[\"it's\", 'two']"],
            "eval_name": ["mmlu", "gsm"],
            "vendor/small": [1.0, 0.0],
            "gpt-4": [1.0, 0.25],
            "gpt-4|model_response": ["['Hi']", "['1']"],
            "vendor/small|total_cost": [0.001, 0.001],
            "gpt-4|total_cost": [0.1, 0.2],
            "oracle_model_to_route_to": ["gpt-4", "no_model_correct"],
        }
    )
    labels = read_labels(_write(tmp_path / "rb.parquet", frame))
    assert labels.models == ("gpt-4", "vendor/small")
    assert labels.items[["request_id", "app"]].to_numpy().tolist() == [["mmlu.val.1", "mmlu"], ["gsm.2", "gsm"]]
    assert [[m["content"] for m in json.loads(x)] for x in labels.items["messages"]] == [["Say hi"], ["it's", "two"]]
    assert labels.outcomes["cost_usd"].sum() == pytest.approx(0.302)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        ({"text_of": ["x"], "score_m": [1]}, {}, r"columns text_of, score_m; expected a column with the prompt\. Name it: prompt=COLUMN"),
        ({"prompt": ["x"], "note": ["good"]}, {}, r"columns prompt, note; expected one column of qualities"),
        ({"prompt": ["x"], "score_m": [1]}, {"prompt": "promt"}, r"no prompt column 'promt'; .*Did you mean 'prompt'"),
        ({"prompt": ["x"], "score_m": [1]}, {"quality": "correct_*"}, r"no column like 'correct_\*'.*Try quality='score_\*'"),
        ({"prompt": ["x"], "score_m": [1]}, {"quality": "score_m"}, r"a pattern with one \*"),
        ({"prompt": ["x"], "score_m": [1]}, {"cost": "usd_*"}, r"no cost column 'usd_m'"),
        ({"prompt": ["x"], "score_m": [1]}, {"models": {"n": "N"}}, r"models=\{'n': \.\.\.\}; expected a model among m"),
        (
            {"prompt": ["x", "y"], "score_m": [87.0, 3.0]},
            {},
            r"score_m: 87\.0 in row 1; .* 0 to 100, divide: quality='score_\*/100'",
        ),
        ({"prompt": ["x"], "score_m": [-0.5]}, {}, r"-0\.5\)? in row 1; expected true, false or a quality from 0 to 1"),
        ({"prompt": ["x"], "score_m": ["great"]}, {"quality": "score_*"}, r"score_m: 'great' in row 1"),
        (
            {"prompt": ["x", "y", "z"], "gpt-5": [1, 0, 1], "gpt-5-mini": ["1", "n/a?", "0"]},
            {},
            r"gpt-5-mini: 'n/a\?' in row 2; .* Correct it, or leave the cell empty where nothing was graded",
        ),
        (
            {"prompt": ["x", "y", "z"], "gpt-5": [1.0, 0, 1], "gpt-5-mini": [1, 0, 1.2]},
            {},
            r"gpt-5-mini: 1\.2 in row 3; .* 0 to 5, divide: quality='\*/5' \(in the shell --quality '\*/5'\)",
        ),
        ({"prompt": ["x", "y"], "gpt-5": [87, 3], "gpt-5-mini": [4, 5]}, {}, r"gpt-5: 87 in row 1; .* quality='\*/100'"),
        ({"prompt": ["x", "y"], "gpt-5": [87, 3]}, {"quality": "*/50"}, r"gpt-5: 87 in row 1; .* from 0 to 50\. .*quality='\*/100'"),
        ({"prompt": ["x"], "score_m": [None]}, {"quality": "score_*"}, r"no graded answer at all"),
    ],
)
def test_what_cannot_be_used_is_one_clear_sentence(tmp_path: Path, frame: dict[str, Any], options: dict[str, Any], message: str) -> None:
    """Errors show the columns seen, the nearest name, or the row and value, and what to pass."""
    with pytest.raises(InputError, match=message):
        read_labels(_write(tmp_path / "l.parquet", pd.DataFrame(frame)), **options)


def test_a_scale_of_hundred_is_divided_when_told(tmp_path: Path) -> None:
    """The suggestion that the error makes works."""
    path = _write(tmp_path / "l.parquet", pd.DataFrame({"prompt": ["x", "y"], "score_m": [87.0, 3.0]}))
    np.testing.assert_allclose(read_labels(path, quality="score_*/100").quality(), [[0.87], [0.03]])


def test_the_suggestion_for_columns_named_after_models_works(tmp_path: Path) -> None:
    """``*/100`` takes every column of numbers for a model, and neither notes, costs nor our own columns."""
    frame = pd.DataFrame({"prompt": ["x", "y"], "gpt-5": [87, 3], "gpt-5-mini": [40, None], "note": ["p", "q"], "weight": [2, 1]})
    labels = read_labels(_write(tmp_path / "l.csv", frame), quality="*/100")
    assert labels.models == ("gpt-5", "gpt-5-mini")
    np.testing.assert_allclose(labels.quality(), [[0.87, 0.4], [0.03, np.nan]])


def test_what_is_not_graded_or_left_out_is_said(tmp_path: Path) -> None:
    """Empty cells are counted by model, columns of numbers that were not taken are named; both survive saving and renaming."""
    frame = pd.DataFrame({"prompt": ["x", "y", "z"], "a": [1, None, 0], "b": ["1", "", "nan"], "took_ms": [812, 90, 77], "note": "n"})
    found = read_labels(_write(tmp_path / "l.parquet", frame))
    labels = read_labels(found.save(tmp_path / "saved"), models={"a": "A"})
    assert labels.meta["ungraded_by_model"] == {"A": 1, "b": 2}
    assert labels.meta["ungraded"] == 3
    assert labels.meta["left_out"] == {"took_ms": "most of its numbers are not from 0 to 1"}
    for said in ("3 requests, 3 graded answers of A, b", "without a grade: A 1, b 2", "column took_ms left out: most of its numbers"):
        assert said in labels.text
        assert said in repr(labels)


def test_a_grade_whose_name_differs_from_the_others_is_named(tmp_path: Path) -> None:
    """Where columns are found by a pattern, a column of grades beside it is not dropped in silence."""
    frame = pd.DataFrame({"prompt": ["x"], "score_a": [1], "corect_b": [0]})
    labels = read_labels(_write(tmp_path / "l.parquet", frame))
    assert labels.meta["left_out"] == {"corect_b": "its name has not the pattern of the others"}


@pytest.mark.parametrize(
    ("name", "text"), [("l.jsonl", '{"prompt": "x", "score_m": 1}\n{"prompt"\n'), ("l.csv", "prompt,score_m\nx,1\ny\n")]
)
def test_a_broken_record_is_named_by_its_line(tmp_path: Path, name: str, text: str) -> None:
    """No row of a damaged file is dropped silently."""
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=rf"{name}, record 2: "):
        read_labels(tmp_path / name)


def test_labels_are_not_saved_among_files_of_others(tmp_path: Path) -> None:
    """Labels are written into a new folder or over earlier labels, never beside something else."""
    labels = read_labels(_write(tmp_path / "l.parquet", _WIDE))
    assert labels.save(labels.save(tmp_path / "saved")) == tmp_path / "saved"
    with pytest.raises(InputError, match=r", which holds l\.parquet and 1 more; expected a new or empty folder"):
        labels.save(tmp_path)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    """A path without a file, and a table without rows, say so."""
    with pytest.raises(InputError, match="no file there"):
        read_labels(tmp_path / "nothing.csv")
    (tmp_path / "empty.csv").write_text("prompt,score_m\n", "utf-8")
    with pytest.raises(InputError, match="no rows"):
        read_labels(tmp_path / "empty.csv")


@settings(max_examples=60)
@given(st.lists(st.one_of(st.none(), st.booleans(), st.floats(0, 1), st.sampled_from(["True", "no", "", "0.25"])), min_size=1))
def test_grades_of_any_kind_are_the_numbers_they_mean(values: list[Any]) -> None:
    """Booleans, numbers, words and blanks, mixed, become what a plain reading of each says."""
    words = {"True": 1.0, "no": 0.0, "": np.nan, "0.25": 0.25}
    plain = [np.nan if v is None else words[v] if isinstance(v, str) else float(v) for v in values]
    np.testing.assert_array_equal(quality_values(pd.Series(values, dtype=object, name="q")), plain)


def test_public_benchmarks_are_read_whole(real_data: Path) -> None:
    """Two published tables give the rows, models and mean qualities that their source states."""
    mmlu = read_labels(real_data / "routellm_mmlu.parquet", quality="correct_*", models={"gpt_4_1106_preview": "gpt-4-1106-preview"})
    assert (len(mmlu), mmlu.models) == (14_042, ("gpt-4-1106-preview", "mixtral_8x7b_instruct"))
    np.testing.assert_allclose(mmlu.quality().mean(axis=0), [0.806, 0.681], atol=5e-4)
    assert mmlu.items["app"].nunique() == 57
    nine = read_labels(real_data / "llmrouter_train.parquet")
    assert (len(nine), len(nine.models)) == (5_608, 9)
    assert nine.quality().mean(axis=0).max() == pytest.approx(0.62, abs=0.005)
    assert nine.quality().max(axis=1).mean() == pytest.approx(0.80, abs=0.005)
    assert nine.items["group"].nunique() <= nine.items["messages"].nunique()


def test_renamed_labels_are_the_same_answers_under_other_names(tmp_path: Path) -> None:
    """Qualities stay, names may be swapped, saved labels are renamed as a table is, and meta says how."""
    labels = read_labels(_write(tmp_path / "l.parquet", _WIDE))
    swapped = labels.renamed({"large_1": "small", "small": "large_1"})
    np.testing.assert_array_equal(swapped.quality(("small", "large_1")), labels.quality(("large_1", "small")))
    opened = read_labels(labels.save(tmp_path / "labels"), models={"small": "tiny"})
    assert (opened.models, opened.meta["renamed"]) == (("large_1", "tiny"), {"small": "tiny"})
    assert opened.hash == labels.renamed({"small": "tiny"}).hash != labels.hash


def test_two_models_never_become_one(tmp_path: Path) -> None:
    """Renaming one model to another's name, or a name nobody has, is refused."""
    labels = read_labels(_write(tmp_path / "l.parquet", _WIDE))
    with pytest.raises(InputError, match="two outcomes for"):
        labels.renamed({"small": "large_1"})
    with pytest.raises(InputError, match="Did you mean 'small'"):
        labels.renamed({"smal": "tiny"})


def test_a_log_is_no_table_of_grades(repository):
    """A gateway's log given for labels is recognised as what it is, and the sentence says what comes first."""
    with pytest.raises(InputError, match=r"which is a log \(LiteLLM.*Grade some of its answers first"):
        read_labels(repository / "tests" / "data" / "litellm_payloads.jsonl")
