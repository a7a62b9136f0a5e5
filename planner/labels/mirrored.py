"""Answers that production asked for in the background, as work that was done: ``state/mirror`` of an exported folder.

In: the files ``answers-YYYY-MM-DD.jsonl``, each line the end of a call of a run's journal, with what was asked and the answer that the user
got. Out: Work whose asks are those lines and whose logged answers are the users', so that ``ingest_labels`` reads both as pairs.
Knows nothing of how they were asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import InputError
from planner.labels.journal import lines
from planner.labels.replies import answer_of
from planner.labels.texts import group_of
from planner.labels.work import Work
from planner.traffic.litellm import provider_id
from planner.traffic.shapes import prompt_columns, request_columns
from planner.traffic.values import Rejected

__all__ = ["mirror_files", "mirrored_work"]


def mirror_files(path: str | Path) -> list[Path]:
    """Return the files of answers at ``path``, a folder or one such file; none where it is something else.

    >>> mirror_files("nowhere")
    []
    """
    found = Path(path)
    if (found / "work.json").exists():
        return []
    return sorted(found.glob("answers-*.jsonl")) if found.is_dir() else [found] * (found.is_file() and found.suffix == ".jsonl")


def mirrored_work(files: Sequence[Path]) -> Work:
    """Return what ``files`` asked and what the users got.

    Sessions of an app were drawn at one rate, so its items weigh the same. Prices are those of the last day. Raises InputError
    when there is no such line; lines that are none are left to ``ingest_labels``, which counts them.
    """
    found = [line for file in files for _, _, line in lines(file) if line and _whole(line)]
    if not found:
        raise InputError(f"{files[0] if files else 'no files'}: no answers of a mirror", "lines that a mirror in production wrote")
    asks = pd.DataFrame(map(_ask, found)).drop_duplicates("ask_id")
    first = {str(line["request"]["id"]): line for line in found}
    items = pd.DataFrame([_item(line) for line in first.values()])
    logged = pd.DataFrame([row for line in first.values() if (row := _logged(line))])
    names = sorted(asks["model"].unique())
    return Work.of(items, asks, logged, at=max(str(line["at"]) for line in found)[:10], candidates=names, mirrored=True)


def _whole(line: Mapping[str, Any]) -> bool:
    match line:
        case {
            "event": "end",
            "ask": str(),
            "at": str(),
            "model": str(model),
            "request": {"id": str(), "messages": list()},
            "today": {"model": str(theirs)},
        }:
            return model != theirs
    return False


def _item(line: Mapping[str, Any]) -> dict[str, Any]:
    asked = line["request"]
    prompt, beside = prompt_columns(asked["messages"]), request_columns(asked)
    return {
        "request_id": asked["id"],
        "app": asked.get("app"),
        "user": asked.get("user"),
        "session_id": asked.get("session"),
        **{name: prompt.get(name) for name in ("messages", "text_state", "modalities")},
        **{name: beside[name] for name in ("has_tools", "response_format", "max_tokens")},
        "group": group_of(prompt["messages"]),
        "probability": 1.0,
        "requests": 1,
        "stake_usd": 0.0,
    }


def _ask(line: Mapping[str, Any]) -> dict[str, Any]:
    tokens = _answer(line.get("body"))
    output = tokens.get("output_tokens", 0) + tokens.get("reasoning_tokens", 0)
    return {
        "ask_id": line["ask"],
        "request_id": line["request"]["id"],
        "model": line["model"],
        "provider": provider_id(line.get("provider")) or "unknown",
        "input_tokens": tokens.get("input_tokens", 0) + tokens.get("cache_read_tokens", 0),
        "output_tokens": output,
        "limit_tokens": request_columns(line["request"])["max_tokens"] or output,
        "price_pusd": line["cost_pusd"],
        "at_most_pusd": line["at_most_pusd"],
    }


def _logged(line: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the user's answer as a row of the log; None where it cannot be read."""
    today = line["today"]
    answer = _answer(today.get("body"))
    if not answer:
        return None
    row = {"request_id": line["request"]["id"], "model": today["model"], "latency_ms": today.get("latency_ms"), **answer}
    return {**row, "source": "log", "cost_usd": today.get("cost_usd"), "paid_usd": 0.0}


def _answer(body: Any) -> dict[str, Any]:
    try:
        return answer_of(body)
    except Rejected:
        return {}
