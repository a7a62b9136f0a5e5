"""Read any table of graded answers into Labels.

In: a wide table (a row a request, a quality column a model) or a tall one (a row a request and model, columns named as
``schema.LABELS``) in Parquet, CSV, JSON or a pickle of pandas, a public table of outcomes, or a folder of saved Labels. Out: Labels, with
what was guessed and counted in ``meta``. Knows nothing of features, routers or prices.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from planner.errors import InputError
from planner.labels import columns
from planner.labels.outcome_tables import APPS, PROMPTS, OutcomeTable, outcome_table
from planner.labels.pickled import is_pickle, pickled_table
from planner.labels.table import Labels
from planner.labels.texts import group_of
from planner.schema import LABEL_ITEMS, LABELS
from planner.text.messages import parse
from planner.traffic.reader import all_readers
from planner.traffic.records import records
from planner.traffic.unknown import system_error
from planner.traffic.values import as_json

__all__ = ["read_labels"]

_NAMELESS = "without a prompt and without an id"
_IDS = ("request_id", "sample_id", "question_id", "id")
#: What to do when a log stands where labels should.
_NO_LABELS = "grade some of its answers first; planner plan LOG says how many, and works without"


def read_labels(
    path: str | Path,
    *,
    prompt: str | None = None,
    quality: str | None = None,
    cost: str | None = None,
    app: str | None = None,
    models: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Labels:
    """Read graded answers.

    Parameters
    ----------
    path: a Parquet, CSV, JSON array or JSON lines file (also .gz, .zst), or a folder written by ``Labels.save``. Also a pickle of
        pandas, such as RouterBench's (opened in a process of its own), and a file or folder of results of LLMRouterBench, RouterArena
        or RouteLLM, whose form is recognised: ``meta["detected"]`` says which. ``meta["aside"]`` says how many records were left out, and
        why.
    prompt: column with the prompt or messages; guessed from its name when not given.
    quality: pattern of the quality columns, ``*`` standing for the model: ``"correct_*"``, or ``"score_*/100"`` to divide;
        ``"*"`` or ``"*/100"`` where columns are named after models. Values are true, false or from 0 to 1; absent and NaN mean:
        this model was not graded on this request, and are counted in ``meta["ungraded_by_model"]``.
    cost: pattern of the columns with the cost of an answer [USD], for the models of ``quality``.
    app: column with the app or domain; guessed from its name when not given, else every row is ``default``.
    models: new names: ``{"gpt_4_1106_preview": "gpt-4-1106-preview"}``.
    request_id: column with unique ids; guessed from its name, else a hash of the prompt. A row that has neither is left out: nobody could
        say what was asked.

    Where columns are guessed, ``meta["left_out"]`` says which columns of numbers were not taken, and why. Raises InputError
    naming column, row and value when a quality is no number or outside [0, 1], and when a column is not there.
    """
    if (Path(path) / "labels.json").is_file():
        return Labels.open(path).renamed(models or {})
    if (Path(path) / "traffic.json").is_file():
        raise InputError(f"{path}, which is a log that was read", "a table of graded answers or a folder of labels", _NO_LABELS)
    if (Path(path) / "answers.json").is_file():
        raise InputError(
            f"{path}, whose answers nobody has graded", "graded answers", f"grade them: planner labels grade {quote(str(path))} --help"
        )
    try:
        known = _known(Path(path), prompt is None and quality is None)
        frame = known.frame if known else _frame(Path(path))
    except OSError as error:
        raise system_error(error) or error from error
    if prompt is None and quality is None and known is None:
        _refuse_log(frame, Path(path))
    used = _used(frame, prompt, app, request_id)
    tall = quality is None and {"request_id", "model", "quality"} <= set(frame.columns)
    items = _items(frame.drop_duplicates("request_id") if tall else frame, used, Path(path))
    outcomes, graded = _tall(frame) if tall else _wide(frame, items, used, quality, cost)
    aside = dict(known.aside) if known else {}
    if used["request_id"] is None and (gone := items["text_state"] == "none").any():
        outcomes = outcomes[~outcomes["request_id"].isin(items["request_id"][gone])]
        items, aside[_NAMELESS] = items[~gone], int(gone.sum())
    guesses = {"prompt": prompt, "app": app, "request_id": request_id, "quality": quality}
    meta = {**graded, "columns": used, "guessed": sorted(n for n, given in guesses.items() if given is None and used.get(n))}
    meta |= ({"detected": known.seen} if known else {}) | ({"aside": aside} if known or aside else {})
    labels = Labels.of(items, outcomes, source=Path(path).name, rows=len(frame), groups=int(items["group"].nunique()), **meta)
    return labels.renamed(models or {})


def _refuse_log(frame: pd.DataFrame, path: Path) -> None:
    """Raise InputError when what should hold grades is recognised as a log."""
    sample: list[Any] = frame.head(20).to_dict("records")
    saw = [said for name, reader in all_readers().items() if name != "table" and (said := reader.sniff(sample))]
    if saw:
        raise InputError(f"{path}, which is a log ({saw[0]})", "a table of graded answers", _NO_LABELS)


def _known(path: Path, guess: bool) -> OutcomeTable | None:
    """Return a public table of outcomes, where ``path`` is a folder or, if columns may be guessed, a file of a known form."""
    return outcome_table(path) if path.is_dir() or (guess and path.is_file() and not is_pickle(path)) else None


def _frame(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no file there", "a table of graded answers or a folder of labels", "check the path")
    if is_pickle(path):
        return pickled_table(path)
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    if parquet:
        try:
            frame: pd.DataFrame = pq.read_table(path).to_pandas()
        except pa.ArrowException as error:
            raise InputError(f"{path}: a damaged Parquet file ({error})", "a whole one", "write it again") from error
    else:
        found = list(records(path))
        broken = next((f for f in found if f.value is None), None)
        if broken:
            raise InputError(
                f"{path}, record {broken.line}: {broken.problem}", "a Parquet, CSV or JSON table", "repair or drop this record"
            )
        frame = pd.DataFrame([f.value for f in found])
    if frame.empty:
        raise InputError(f"{path}: no rows", "a table of graded answers")
    return frame.reset_index(drop=True)


def _used(frame: pd.DataFrame, prompt: str | None, app: str | None, request_id: str | None) -> dict[str, Any]:
    ids = columns.named(frame, request_id, "request_id") if request_id else columns.one_of(frame, _IDS)
    if ids and not request_id and ids != "request_id" and (frame[ids].duplicated().any() or frame[ids].isna().any()):
        ids = None
    return {
        "prompt": columns.named(frame, prompt, "prompt") if prompt else columns.one_of(frame, PROMPTS),
        "app": columns.named(frame, app, "app") if app else columns.one_of(frame, APPS),
        "request_id": ids,
    }


def _items(frame: pd.DataFrame, used: Mapping[str, Any], path: Path) -> pd.DataFrame:
    if used["prompt"] is None and used["request_id"] is None:
        seen = ", ".join(map(str, frame.columns[:20]))
        raise InputError(f"{path}: columns {seen}", "a column with the prompt", "name it: prompt=COLUMN")
    own = [n for n in ("user", "session_id", "weight", "group") if n in frame.columns]
    items = frame[own].reset_index(drop=True).copy()
    prompts = frame[used["prompt"]].tolist() if used["prompt"] else [None] * len(frame)
    absent = [p is None or p is pd.NA or (isinstance(p, float) and np.isnan(p)) or len(p) == 0 for p in map(_plain, prompts)]
    messages = [None if gone else as_json(parse(_plain(p))) for p, gone in zip(prompts, absent, strict=True)]
    items["messages"] = messages
    items["text_state"] = np.where(absent, "none", "full")
    items["app"] = frame[used["app"]].astype("string").to_numpy() if used["app"] else "default"
    items["request_id"] = _ids(frame, messages, used["request_id"])
    if "group" not in items:
        items["group"] = [i if m is None else group_of(m) for m, i in zip(messages, items["request_id"], strict=True)]
    return items[[n for n in LABEL_ITEMS.names if n in items]]


def _plain(value: Any) -> Any:
    """Return a prompt as parse() takes it; RouterBench writes lists as Python does: ``"['Say hi']"``."""
    if isinstance(value, str) and value.startswith(("['", '["')) and value.endswith("]"):
        try:
            return list(ast.literal_eval(value))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return value.tolist() if isinstance(value, np.ndarray) else value


def _ids(frame: pd.DataFrame, messages: list[str | None], column: str | None) -> list[str]:
    if column:
        return [str(v) for v in frame[column]]
    times: Counter[str] = Counter()
    ids = []
    for row, written in enumerate(messages, 1):
        name = f"row-{row}" if written is None else sha256(written.encode()).hexdigest()[:16]
        times[name] += 1
        ids.append(name if times[name] == 1 else f"{name}-{times[name]}")
    return ids


def _wide(
    frame: pd.DataFrame, items: pd.DataFrame, used: dict[str, Any], quality: str | None, cost: str | None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    pattern, scale = columns.split_scale(quality) if quality else (None, 1.0)
    found, pattern, left_out = columns.quality_columns(frame, pattern, {c for c in used.values() if c})
    costs = columns.cost_columns(frame, cost, list(found))
    parts = []
    for model, values in columns.quality_matrix(frame, found, pattern, scale).items():
        part = pd.DataFrame({"request_id": items["request_id"], "model": model, "quality": values})
        if model in costs:
            part["cost_usd"] = pd.to_numeric(frame[costs[model]], errors="coerce")
        parts.append(part)
    used["quality"] = list(found.values())
    used["cost"] = list(costs.values())
    outcomes, counted = _graded(pd.concat(parts, ignore_index=True))
    return outcomes, {**counted, "left_out": {c: why for c, why in left_out.items() if c not in used["cost"]}}


def _tall(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    outcomes = frame[[n for n in LABELS.names if n in frame.columns]].copy()
    for name in ("request_id", "model"):
        outcomes[name] = outcomes[name].astype(str)
    outcomes["quality"] = columns.quality_values(frame["quality"])
    return _graded(outcomes)


def _graded(outcomes: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    absent = outcomes["quality"].isna()
    if absent.all():
        raise InputError("no graded answer at all", "at least one quality from 0 to 1")
    by_model = absent.groupby(outcomes["model"], sort=False).sum()
    counted = {"ungraded": int(absent.sum()), "ungraded_by_model": {str(m): int(n) for m, n in by_model.items() if n}}
    return outcomes[~absent].reset_index(drop=True), counted
