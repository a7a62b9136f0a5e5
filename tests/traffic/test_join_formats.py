"""Files of two formats are not read as one log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputError
from planner.traffic.files import short_names
from planner.traffic.join_formats import refuse_formats
from planner.traffic.reader import reader_named

SPEND = {"request_id": "a", "spend": 0.1, "startTime": "2026-11-03T09:00:00Z", "call_type": "acompletion", "model_group": "chat"}
OBSERVATION = {"id": "o", "traceId": "t", "type": "GENERATION", "startTime": "2026-11-03T09:00:00Z", "level": "DEFAULT", "usageDetails": {}}


def _file(path: Path, record: dict[str, Any]) -> Path:
    path.write_text(json.dumps(record) + "\n", "utf-8")
    return path


def test_a_second_format_is_refused(tmp_path: Path) -> None:
    """A Langfuse export beside LiteLLM's spend logs is named, with what to do; files of one format, or of none, are not."""
    files = [_file(tmp_path / "litellm.jsonl", SPEND), _file(tmp_path / "more.jsonl", SPEND), _file(tmp_path / "odd.jsonl", {"x": 1})]
    refuse_formats(files, short_names(files), reader_named("litellm_spend"))
    files.append(_file(tmp_path / "langfuse.jsonl", OBSERVATION))
    with pytest.raises(InputError, match=r"langfuse.jsonl, which is langfuse_export, beside litellm.jsonl.*planner join"):
        refuse_formats(files, short_names(files), reader_named("litellm_spend"))


def test_a_reader_that_gathers_is_asked_nothing(tmp_path: Path) -> None:
    """Formats whose calls are spread over files of several kinds are left to their reader."""
    files = [_file(tmp_path / "litellm.jsonl", SPEND)]
    refuse_formats(files, short_names(files), reader_named("anthropic_batch"))
