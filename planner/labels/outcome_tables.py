"""Public tables of outcomes, as they are published → one row a request and model, in our columns.

In: a file or folder of LLMRouterBench results, RouterArena's cached results or predictions, RouteLLM's judgements of MT-Bench with their
questions, or a folder of wide tables such as RouteLLM's MMLU. Out: the table, what was recognised, and what was left out with the reason.
Knows nothing of Labels; RouterBench's own table needs no mapping (``read_labels`` finds its columns).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from planner.errors import InputError
from planner.labels import columns
from planner.traffic.files import find
from planner.traffic.records import records
from planner.traffic.values import Rejected, count, dig, number, text

__all__ = ["APPS", "PROMPTS", "OutcomeTable", "outcome_table"]

PROMPTS = ("messages", "prompt", "question", "query", "origin_query", "input", "instruction", "text")
APPS = ("app", "domain", "subject", "category", "task", "task_name", "eval_name", "dataset")
_Record: TypeAlias = dict[str, Any]
_Rows: TypeAlias = Iterator[tuple[_Record, str]]
_DAMAGE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)
_RUN_AT = re.compile(r"(\d{8})_(\d{6})\.json$")
_MOST_TOKENS = 2**53
_WITHOUT, _EARLIER = "without a request or a model", "of earlier or trial runs"
_CONTAMINATED = "whose prompt their authors list as contaminated"


@dataclass(frozen=True, eq=False)
class OutcomeTable:
    """A table as ``read_labels`` takes it, what it was ``seen`` to be, and how many records were left ``aside`` by reason."""

    frame: pd.DataFrame = field(repr=False)
    seen: str
    aside: Mapping[str, int]


def outcome_table(path: Path) -> OutcomeTable | None:
    """Return the outcomes below ``path``; None where a single file is none of the known tables.

    Raises InputError where a folder holds tables of several kinds or none at all, or where no record of it can be used.
    """
    files = find(path) if path.is_dir() else [path]
    kinds = {f: _kind(f) for f in files}
    found = {k for k in kinds.values() if k not in _BESIDE}
    if not path.is_dir() and found == {""}:
        return None
    if len(found) != 1:
        held = " and ".join(sorted(k or "other tables" for k in found)) or "no table of outcomes"
        raise InputError(f"{path}, which holds {held}", "outcomes of one kind", "name the files of one kind, or their folder")
    (kind,) = found
    own = [f for f in files if kinds[f] == kind]
    beside = [r for f in files if kinds[f] in _BESIDE for r in _values(f)]
    if kind == _JUDGED and not path.is_dir() and (questions := path.with_name("question.jsonl")).is_file():
        beside = list(_values(questions))
    return _without(_tall(kind, own, beside) if kind else _wide(path, own), beside)


def _kind(file: Path) -> str:
    """Return what the first record of a file is; empty for a table of any other kind."""
    with_first = list(islice(_values(file), 1))
    keys = with_first[0].keys() if with_first else set()
    return next((kind for kind, signs in _SIGNS if any(s <= keys for s in signs)), "")


def _values(file: Path) -> Iterator[_Record]:
    return (f.value for f in records(file) if f.value is not None)


def _single(files: Sequence[Path], beside: Sequence[_Record] = ()) -> _Rows:
    """Yield every record of ``files``, or why there is none."""
    yield from ((f.value or {}, f.problem) for file in files for f in records(file))


def _wide(path: Path, files: Sequence[Path]) -> OutcomeTable:
    """Return tables with a column per model below each other, with the app that their files' names tell apart."""
    aside = Counter(why for _, why in _single(files) if why)
    frames = [pd.DataFrame(list(_values(f))) for f in files]
    if len(files) > 1 and not any(columns.one_of(f, APPS) for f in frames):
        frames = [f.assign(app=app) for f, app in zip(frames, _apart([f.stem for f in files]), strict=True)]
    frame = pd.concat(frames, ignore_index=True)
    if frame.empty:
        raise InputError(f"{path}: no rows", "a table of graded answers")
    return OutcomeTable(frame, f"{len(files)} tables with a column per model", aside)


def _apart(names: Sequence[str]) -> list[str]:
    """Return names without the words that all of them begin with.

    >>> _apart(["mmlu_anatomy", "mmlu_formal_logic"])
    ['anatomy', 'formal_logic']
    """
    words = [n.split("_") for n in names]
    alike = 0
    while all(len(w) > alike + 1 and w[alike] == words[0][alike] for w in words):
        alike += 1
    return ["_".join(w[alike:]) for w in words]


def _tall(kind: str, files: Sequence[Path], beside: Sequence[_Record]) -> OutcomeTable:
    aside: Counter[str] = Counter()
    rows: list[_Record] = []
    for record, why in _READ[kind](files, beside):
        try:
            row = {} if why else _ROW[kind](record)
            why = why or ("" if row["request_id"] and row["model"] else _WITHOUT)
        except Rejected as error:
            why = str(error)
        except _DAMAGE as error:
            why = f"{type(error).__name__}: {error}"
        if why:
            aside[why] += 1
        else:
            rows.append(row)
    if not rows:
        raise InputError(f"{files[0]}: none of {aside.total()} records could be used ({next(iter(aside), 'none at all')})", kind)
    frame = pd.DataFrame(rows)
    if kind == _JUDGED:
        frame = _averaged(frame)
    frame["repeat"] = frame.groupby(["request_id", "model"]).cumcount()
    return OutcomeTable(frame, kind, aside)


def _without(table: OutcomeTable, beside: Sequence[_Record]) -> OutcomeTable:
    """Leave out the prompts that stand in a list of contaminated ones."""
    listed = {r["eval_prompt"] for r in beside if isinstance(r.get("eval_prompt"), str)}
    prompt = columns.one_of(table.frame, PROMPTS)
    if not listed or prompt is None:
        return table
    gone = table.frame[prompt].isin(listed)
    aside = {**table.aside, **({_CONTAMINATED: int(gone.sum())} if gone.any() else {})}
    return OutcomeTable(table.frame[~gone].reset_index(drop=True), table.seen, aside)


def _bench(files: Sequence[Path], beside: Sequence[_Record]) -> _Rows:
    """Yield the records of each data set, split and model's latest run; those of others with the reason."""
    last: dict[tuple[str, ...], tuple[str, Path]] = {}
    for file in files:
        for run in _values(file):
            if not run.get("demo"):
                at = "".join(found.groups()) if (found := _RUN_AT.search(file.name)) else ""
                last[_run_of(run)] = max(last.get(_run_of(run), ("", file)), (at, file))
    for file in files:
        for run, problem in _single([file]):
            why = problem or ("" if not run.get("demo") and last[_run_of(run)][1] == file else _EARLIER)
            held = run.get("records")
            about = {k: run.get(k) for k in ("dataset_name", "split", "model_name")}
            yield from (({**r, **about} if isinstance(r, dict) else {}, why) for r in (held if isinstance(held, list) else [{}]))


def _run_of(run: _Record) -> tuple[str, ...]:
    return tuple(str(run.get(k)) for k in ("dataset_name", "split", "model_name"))


def _bench_row(record: _Record) -> _Record:
    place = [text(record.get(k)) for k in ("dataset_name", "split", "index")]
    said = record.get("raw_output")
    return {
        "request_id": "/".join(p for p in place if p) if place[2] else None,
        "app": place[0] or "default",
        "prompt": text(record.get("prompt")) or text(record.get("origin_query")),
        "model": text(record.get("model_name")),
        "quality": _grade(record.get("score"), 1),
        "grader": f"LLMRouterBench {place[0]}",
        "response": said if isinstance(said, str) else text(record.get("prediction")),
        "reference": text(record.get("ground_truth")),
        "input_tokens": _tokens(record.get("prompt_tokens"), "prompt_tokens"),
        "output_tokens": _tokens(record.get("completion_tokens"), "completion_tokens"),
        "cost_usd": number(record.get("cost"), "cost"),
    }


def _arena_row(record: _Record) -> _Record:
    """Return a cached result, or a router's prediction with what the chosen model answered; what failed has no grade."""
    index = text(record.get("global_index")) or text(record.get("global index"))
    answer = record.get("generated_result") if "generated_result" in record else record
    score = record.get("accuracy") if "generated_result" in record else dig(record, "evaluation_result", "score")
    cost = record.get("cost") if "generated_result" in record else dig(record, "evaluation_result", "inference_cost")
    return {
        "request_id": index,
        "app": (index or "").rpartition("_")[0] or "default",
        "prompt": text(record.get("question")) or text(record.get("prompt")),
        "model": text(record.get("llm_selected")) or text(record.get("prediction")),
        "quality": _grade(score, 1) if dig(answer, "success") else None,
        "grader": f"RouterArena {text(dig(record, 'evaluation_result', 'metric')) or ''}".strip(),
        "response": text(dig(answer, "generated_answer")),
        "reference": text(dig(record, "evaluation_result", "ground_truth")),
        "input_tokens": _tokens(dig(answer, "token_usage", "input_tokens"), "input_tokens"),
        "output_tokens": _tokens(dig(answer, "token_usage", "output_tokens"), "output_tokens"),
        "cost_usd": number(cost, "cost"),
    }


def _grade(value: Any, top: int) -> float | None:
    found = number(value, "score")
    if found is not None and not 0 <= found <= top:
        raise Rejected(f"score is {found:g}, not from 0 to {top}")
    return None if found is None else found / top


def _tokens(value: Any, name: str) -> int | None:
    found = count(value, name)
    if found is not None and found > _MOST_TOKENS:
        raise Rejected(f"{name} is beyond {_MOST_TOKENS}")
    return found


def _judgements(files: Sequence[Path], beside: Sequence[_Record]) -> _Rows:
    asked = {str(r["question_id"]): r for r in beside if "question_id" in r}
    yield from (({**asked.get(str(r.get("question_id")), {}), **r}, why) for r, why in _single(files))


def _judged_row(record: _Record) -> _Record:
    """Return a judgement of one turn; a grade goes from 1 to 10, and −1 says that the judge gave none."""
    score = record.get("score")
    return {
        "request_id": text(record.get("question_id")),
        "app": text(record.get("category")) or "default",
        "prompt": text(dig(record, "turns", "0")),
        "model": text(record.get("model")),
        "quality": None if score == -1 else _grade(score, 10),
        "grader": text(dig(record, "judge", "0")) or "unknown",
    }


def _averaged(turns: pd.DataFrame) -> pd.DataFrame:
    """Return the mean grade of a conversation's turns, since a router decides at its first."""
    turns["quality"] = turns["quality"].astype(float)
    by = turns.groupby(["request_id", "model"], sort=False)
    return by.first().assign(quality=by["quality"].mean()).reset_index()


_BENCH, _ARENA, _JUDGED = "LLMRouterBench results", "RouterArena results", "MT-Bench judgements"
_QUESTIONS, _LISTED = "MT-Bench questions", "a list of contaminated prompts"
_BESIDE = (_QUESTIONS, _LISTED)
_SIGNS: tuple[tuple[str, tuple[set[str], ...]], ...] = (
    (_BENCH, ({"records", "model_name", "dataset_name"},)),
    (_ARENA, ({"global_index", "llm_selected"}, {"global index", "prediction"}, {"global_index", "prediction"})),
    (_JUDGED, ({"question_id", "model", "judge", "score"},)),
    (_QUESTIONS, ({"question_id", "turns"},)),
    (_LISTED, ({"eval_prompt"},)),
)
_READ: Mapping[str, Callable[[Sequence[Path], Sequence[_Record]], _Rows]] = {_BENCH: _bench, _ARENA: _single, _JUDGED: _judgements}
_ROW: Mapping[str, Callable[[_Record], _Record]] = {_BENCH: _bench_row, _ARENA: _arena_row, _JUDGED: _judged_row}
