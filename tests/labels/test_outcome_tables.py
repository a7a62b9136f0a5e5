"""Public tables of outcomes become Labels: hand-written files in the form in which each is published."""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reader_mutations import _mutated
from planner.errors import InputError
from planner.labels import read_labels
from planner.labels.outcome_tables import outcome_table
from planner.labels.pickled import pickled_table
from planner.traffic import read

ROUTERBENCH = pd.DataFrame(
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
    },
    index=[4, 9],
)

#: A table that pandas 1.5.3 with numpy 1.26 pickled (protocol 4), compressed.
OLD_PICKLE = (
    b"c-n<jL2J}N6y9XBZMPO}5p_Y4;-&Rqv{Ix8VZn+}gDdF4Ln*@~ncc)DGht@Zy3m3iT3eV~$AkV8e}Xshm-"
    b"r9#&18eAU2ztYH=Fm~_r7o5oA=(QA70BYwNzjlW8p`P6Mx8YPPFPi#S%ZW_L;u>K_BW><)M7UwYuGOPpKrF;!OBCrg%iS&}!jH#-"
    b"iO9)gHoE)%8gT%F<B$iP7o`Dru2MyBR^D2?B3*jh1;auF~gaCR5Bg9z$BhNyMm-yo{uA>{v&wW+AtAInzPwNN+l!{-"
    b"|H+)xd$Dd#sZysuRm`VW=oKT+^o~)%Uh?4)kC!c>W8PeFQD3!_!UIX=yOjTv(=10EJ3BB1<EaA?O4%fnyQ`u6ZVxlFP}G0Zy*gux$(5Q|@r13HEp@*n{dAe)"
    b"e1ER=xk;|MJ<auaoz;zA0@A=8;8A8;FTN4X@XpAWY7`H9L8my#MA@Nx5;lx#&#%-9}t;2UMB;pDtdl%gbh!x6W7DH&yOH*Uaa6R{DE5^VdNCk;wgrTFq~-"
    b"yvF0@Bwg8oliyyE`^;FL@ztsgUdFeO_tv#qqzvUOCK-Zeg65H$OqI?%vc#5a>Hj7;cR?VjO@Y1hlMs`4MED^VFhBE%l6|yg{)3)LV%4c_J4rE2m%dm?7d8XS"
    b"y(@5Dz*MBMRx<@>c_Cpa35bEH9ngh6LSx47iyUW}PTnY&?P}#vU~SnSNG7o%E+DYSIF2A&C5B{(vr-"
    b"Z;tRTv>DF@}TIkus?IgJ*~8sTXK%(kd}wBBHoyuC=otrT6XTddn`m2rhc%mXeJm`tE%6shkXloN@qL~yblEG673hoA!*W_V=H8$g=v3lx_Hj3ovx84d~DC?}"
    b"!}{oh%-!Tk"
)


def _bench(model: str, scores: list[float | None], **more: Any) -> dict[str, Any]:
    records = [
        {
            "index": i,
            "origin_query": "2+2?",
            "prompt": f"Solve {i}",
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "cost": 0.001,
            "score": score,
            "prediction": "4",
            "ground_truth": "4",
            "raw_output": "It is 4",
            "extra_fields": {},
        }
        for i, score in enumerate(scores, 1)
    ]
    about = {"performance": 0.5, "time_taken": 3.0, "counts": len(records), "model_name": model, "dataset_name": "aime", "split": "test"}
    return {**about, "demo": False, "records": records, **more}


def _arena(index: str, model: str, score: float | None, **more: Any) -> dict[str, Any]:
    result = None if score is None else {"ground_truth": "b", "score": score, "metric": "mcq_accuracy", "inference_cost": 0.0002}
    usage = {"input_tokens": 100, "output_tokens": 70, "total_tokens": 170}
    answer = {"generated_answer": "B", "token_usage": usage, "success": True, "provider": "x", "error": None}
    return {"global_index": index, "question": f"What is {index}?", "llm_selected": model, **answer, "evaluation_result": result, **more}


def _judged(question: int, model: str, turn: int, score: float) -> dict[str, Any]:
    judge = ["gpt-4", "single-v1"]
    return {
        "question_id": question,
        "model": model,
        "judge": judge,
        "user_prompt": "[Question]",
        "judgment": "good",
        "score": score,
        "turn": turn,
    }


def _lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    return path


def _json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), "utf-8")
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickled_table_reads_like_the_same_table_in_parquet(tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """RouterBench is published as a pickle: it becomes the same labels, and this process unpickles nothing."""
    ROUTERBENCH.to_parquet(tmp_path / "rb.parquet")
    (tmp_path / "rb.pkl").write_bytes(pickle.dumps(ROUTERBENCH, protocol))
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "Unpickler", None)
    found, expected = read_labels(tmp_path / "rb.pkl"), read_labels(tmp_path / "rb.parquet")
    pd.testing.assert_frame_equal(found.items, expected.items)
    pd.testing.assert_frame_equal(found.outcomes, expected.outcomes)
    assert found.models == ("gpt-4", "vendor/small")


def test_a_table_that_an_older_pandas_pickled_is_read(tmp_path: Path) -> None:
    """RouterBench was pickled years ago: the names that pandas and numpy moved since are found."""
    (tmp_path / "old.pkl").write_bytes(zlib.decompress(base64.b85decode(OLD_PICKLE)))
    frame = pickled_table(tmp_path / "old.pkl")
    assert frame["prompt"].tolist() == ["['Say hi']", "['two']"]
    assert frame[["gpt-4", "ok", "n"]].to_numpy().tolist() == [[1.0, True, 1], [0.25, False, 2]]


class _Calls:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_a_pickle_that_would_call_something_is_refused_before_it_does(tmp_path: Path) -> None:
    """Neither here nor in its own process is anything called but what rebuilds a table; the name that was asked for is shown."""
    frame = ROUTERBENCH.assign(note=[_Calls(str(tmp_path / "made")), None])
    for name, value in (("frame", frame), ("plain", _Calls(str(tmp_path / "made")))):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match=r"it asks for posix\.mkdir, which rebuilds no table.*Parquet or CSV"):
            read_labels(tmp_path / f"{name}.pkl")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (pickle.dumps({"a": [1, 2]}), "it holds a dict, not a table"),
        (pickle.dumps(ROUTERBENCH)[:-40], "pickle data was truncated|ran out of input"),
        (b"\x80\x05" + b"\xff" * 20, "invalid load key"),
        (b"\x80\x03cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.", "MemoryError"),
        (b"\x80\x03cpandas\nDataFrame.to_csv\n.", r"it asks for pandas\.DataFrame\.to_csv"),
    ],
)
def test_other_pickles_are_one_clear_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    """What is damaged, no table, or asks for more than there is ends in a sentence, not in this process."""
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_labels(tmp_path / "x.pkl")
    with pytest.raises(InputError, match=r"not text but a pickle.*--labels"):
        read(tmp_path / "x.pkl", out=tmp_path / "out", text=True)


def test_columns_of_a_pickle_become_numbers_and_text(tmp_path: Path) -> None:
    """Lists, categories and missing values of any column come out as what Parquet holds."""
    frame = ROUTERBENCH.assign(eval_name=pd.Categorical(["mmlu", "gsm"]), extra=[["a"], None], user=pd.array(["u", None], dtype="string"))
    frame["prompt"] = pd.Series([["Say hi"], ["2+2?"]], index=frame.index)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(frame))
    labels = read_labels(tmp_path / "x.pkl")
    assert labels.items["app"].tolist() == ["mmlu", "gsm"]
    assert [json.loads(m)[0]["content"] for m in labels.items["messages"]] == ["Say hi", "2+2?"]
    assert labels.items["user"].isna().tolist() == [False, True]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_what_is_missing_in_a_pickle_is_not_text(tmp_path: Path, missing: Any) -> None:
    """A prompt or an answer that is not there is none, whatever stands for it in pandas: never the word nan as a question."""
    frame = ROUTERBENCH.drop(columns="sample_id")
    frame["prompt"] = pd.Series(["Say hi", missing], index=frame.index, dtype=object)
    frame["note"] = pd.Series([missing, "text"], index=frame.index, dtype=object)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(frame))
    assert pickled_table(tmp_path / "x.pkl")[["prompt", "note"]].isna().to_numpy().tolist() == [[False, True], [True, False]]
    labels = read_labels(tmp_path / "x.pkl")
    assert [json.loads(m)[0]["content"] for m in labels.items["messages"]] == ["Say hi"]
    assert labels.meta["aside"] == {"without a prompt and without an id": 1}


def test_routellms_folder_of_subjects_is_one_table(tmp_path: Path) -> None:
    """Of RouteLLM's MMLU every file is a subject; prompts that it lists as contaminated are left out and counted."""
    for subject, right in (("anatomy", [True, False]), ("formal_logic", [False, True])):
        frame = pd.DataFrame({"prompt": [f"{subject} 1", f"{subject} 2"], "mistralai/Mixtral-8x7B": right, "gpt-4-1106-preview": True})
        (tmp_path / "mmlu" / "responses").mkdir(parents=True, exist_ok=True)
        frame.to_csv(tmp_path / "mmlu" / "responses" / f"mmlu_{subject}.csv", index=False)
    labels = read_labels(tmp_path / "mmlu")
    assert labels.models == ("gpt-4-1106-preview", "mistralai/Mixtral-8x7B")
    assert labels.items["app"].tolist() == ["anatomy", "anatomy", "formal_logic", "formal_logic"]
    np.testing.assert_array_equal(labels.quality(), [[1, 1], [1, 0], [1, 0], [1, 1]])
    _lines(tmp_path / "mmlu" / "contaminated_prompts.jsonl", [{"train_prompt": "x", "eval_prompt": "anatomy 2", "eval_idx": 1}])
    labels = read_labels(tmp_path / "mmlu")
    assert len(labels) == 3
    assert "1 records left out: whose prompt their authors list as contaminated" in labels.text


def test_judgements_of_turns_are_a_grade_of_the_conversation(tmp_path: Path) -> None:
    """MT-Bench: the mean of both turns' grades out of 10, by question and model, with the first turn as the prompt."""
    judged = [_judged(81, "a", 1, 9), _judged(81, "a", 2, 7), _judged(81, "b", 1, 5), _judged(81, "b", 2, -1), _judged(82, "a", 1, 10)]
    _lines(tmp_path / "mt_bench" / "judgements.jsonl", judged)
    questions = [
        {"question_id": 81, "category": "writing", "turns": ["Write", "Rewrite"]},
        {"question_id": 82, "category": "math", "turns": ["2+2?"]},
    ]
    _lines(tmp_path / "mt_bench" / "question.jsonl", questions)
    for source in (tmp_path / "mt_bench", tmp_path / "mt_bench" / "judgements.jsonl"):
        labels = read_labels(source)
        assert labels.items["app"].tolist() == ["writing", "math"]
        assert [json.loads(m)[0]["content"] for m in labels.items["messages"]] == ["Write", "2+2?"]
        np.testing.assert_allclose(labels.quality(), [[0.8, 0.5], [1.0, np.nan]])
        assert labels.outcomes["grader"].unique().tolist() == ["gpt-4"]


def test_runs_of_llmrouterbench_are_joined_by_question(tmp_path: Path) -> None:
    """Per data set, split and model the latest run that is no trial counts; tokens, costs, answers and references are kept."""
    root = tmp_path / "bench" / "aime" / "test"
    _json(root / "a" / "aime-test-a-20260101_000000.json", _bench("a", [0.0, 0.0]))
    _json(root / "a" / "aime-test-a-20260201_000000.json", _bench("a", [1.0, 0.5]))
    _json(root / "a" / "aime-test-a-20260301_000000.json", _bench("a", [0.0, 0.0], demo=True))
    _json(root / "b" / "aime-test-b-20260101_000000.json", _bench("b", [0.0, None]))
    labels = read_labels(tmp_path / "bench")
    assert labels.models == ("a", "b")
    np.testing.assert_array_equal(labels.quality(), [[1.0, 0.0], [0.5, np.nan]])
    assert labels.items["request_id"].tolist() == ["aime/test/1", "aime/test/2"]
    assert labels.items["app"].unique().tolist() == ["aime"]
    row = labels.outcomes.iloc[0]
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"], row["response"], row["reference"]) == (9, 4, 0.001, "It is 4", "4")
    assert labels.meta["aside"] == {"of earlier or trial runs": 4}
    assert labels.meta["ungraded_by_model"] == {"b": 1}
    assert labels.meta["detected"] == "LLMRouterBench results"
    assert read_labels(root / "b" / "aime-test-b-20260101_000000.json").models == ("b",)


def test_cached_results_of_routerarena_are_joined_by_index(tmp_path: Path) -> None:
    """A file per model; what was not evaluated or failed has no grade and is counted, a second run of a question is a repeat."""
    folder = tmp_path / "cached_results"
    _lines(folder / "a.jsonl", [_arena("MathQA_1", "a", 1.0), _arena("MathQA_1", "a", 0.0), _arena("AIME_2", "a", 0.5)])
    failed = _arena("AIME_2", "b", 1.0, success=False)
    _lines(folder / "b.jsonl", [_arena("MathQA_1", "b", None), failed, _arena("MathQA_1", "b", 1.0)])
    labels = read_labels(folder)
    np.testing.assert_array_equal(labels.quality(), [[0.5, 1.0], [0.5, np.nan]])
    assert labels.items["app"].tolist() == ["MathQA", "AIME"]
    assert json.loads(labels.items["messages"][0])[0]["content"] == "What is MathQA_1?"
    assert labels.meta["ungraded_by_model"] == {"b": 2}
    assert labels.outcomes["cost_usd"].unique().tolist() == [0.0002]
    assert labels.outcomes["grader"].unique().tolist() == ["RouterArena mcq_accuracy"]


def test_predictions_of_a_router_are_outcomes_of_the_models_it_chose(tmp_path: Path) -> None:
    """RouterArena's prediction file: index, prompt, chosen model, its answer, accuracy and cost."""
    answer = {"generated_answer": "B", "success": True, "token_usage": {"input_tokens": 9, "output_tokens": 1}}
    rows = [
        {"global index": f"AIME_{i}", "prompt": f"Q{i}", "prediction": m, "generated_result": answer, "cost": 0.1, "accuracy": float(i % 2)}
        for i, m in ((1, "a"), (2, "b"))
    ]
    labels = read_labels(_json(tmp_path / "router.json", rows))
    np.testing.assert_array_equal(labels.quality(), [[1.0, np.nan], [np.nan, 0.0]])
    assert labels.outcomes["input_tokens"].tolist() == [9, 9]


def test_records_that_cannot_be_used_are_counted_with_the_reason(tmp_path: Path) -> None:
    """A line that is no JSON, one without a model and those whose score is no grade are left out; the text says so."""
    path = _lines(tmp_path / "a.jsonl", [_arena("A_1", "a", 1.0), _arena("A_2", "", 1.0), _arena("A_4", "a", 87.0)])
    bad = _arena("A_3", "a", 1.0)
    bad["evaluation_result"]["score"] = "good"
    path.write_text(path.read_text("utf-8") + json.dumps(bad) + "\n{broken\n", "utf-8")
    labels = read_labels(path)
    assert len(labels.outcomes) == 1
    assert sum(labels.meta["aside"].values()) == 4
    assert "1 records left out: score is 87, not from 0 to 1" in labels.text
    assert "1 records left out: score is 'good', not a number" in labels.text
    many = read_labels(_lines(tmp_path / "b.jsonl", [_arena(f"A_{i}", "a", 1.0 + i) for i in range(9)]))
    assert "3 records left out for other reasons" in many.text
    (tmp_path / "a.jsonl").write_text(json.dumps(_arena("A_2", "", 1.0)), "utf-8")
    with pytest.raises(InputError, match=r"none of 1 records could be used \(without a request or a model\)"):
        read_labels(tmp_path / "a.jsonl")


def test_a_folder_of_two_kinds_is_refused(tmp_path: Path) -> None:
    """Outcomes of different kinds are not guessed together, and a folder without any says so."""
    _lines(tmp_path / "x" / "a.jsonl", [_arena("A_1", "a", 1.0)])
    _json(tmp_path / "x" / "b.json", _bench("b", [1.0]))
    with pytest.raises(InputError, match="holds LLMRouterBench results and RouterArena results; expected outcomes of one kind"):
        read_labels(tmp_path / "x")
    _lines(tmp_path / "y" / "question.jsonl", [{"question_id": 1, "turns": ["a"]}])
    with pytest.raises(InputError, match="holds no table of outcomes"):
        read_labels(tmp_path / "y")


@pytest.mark.parametrize("kind", ["bench", "arena", "judged"])
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_mutated_outcomes_crash_nothing_and_counts_add_up(kind: str, seed: int) -> None:
    """With anything dropped, retyped or renamed a table is read, its records graded, ungraded or left out with the reason."""
    chance = random.Random(seed)
    sound: dict[str, list[dict[str, Any]]] = {
        "bench": [_bench("a", [1.0, 0.5, None])],
        "arena": [_arena("A_1", "a", 1.0), _arena("A_2", "a", 0.5)],
        "judged": [_judged(81, "a", 1, 9), _judged(82, "b", 1, 4)],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = _lines(Path(folder) / "x.jsonl", sound[kind] + [_mutated(r, chance) for r in sound[kind] * 3])
        table, labels = outcome_table(path), read_labels(path)
    assert table is not None
    counted = len(labels.outcomes) + labels.meta["ungraded"] + sum(labels.meta["aside"].values())
    assert counted == len(table.frame) + sum(table.aside.values())
    if kind == "arena":
        assert counted == 8
