"""What a table's columns are proposed to be: as several tools name theirs, and never by a name whose values are something else."""

from __future__ import annotations

from typing import Any

import pytest

from planner.traffic.mapping import compiled, mapped
from planner.traffic.suggest import suggested

_PROMPT = [{"role": "user", "content": "Say hi"}]
_TIME = "2026-11-03T09:00:00.250Z"
#: A record as each tool exports it, beside the columns that must be found in it.
_TOOLS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a gateway's request log": (
        {"id": "p1", "created_at": _TIME, "ai_org": "openai", "ai_model": "gpt-5", "req_units": 12, "res_units": 5, "cost": 0.01}
        | {"response_time": 840, "request": {"body": {"model": "gpt-5", "messages": _PROMPT}}},
        {"request_id": "id", "timestamp": "created_at", "provider": "ai_org", "model": "ai_model", "messages": "request.body.messages"}
        | {"input_tokens": "req_units", "output_tokens": "res_units"},
    ),
    "a worker's log": (
        {"id": "01J", "created_at": _TIME, "provider": "openai", "model": "gpt-5", "tokens_in": 11, "tokens_out": 3, "duration": 900},
        {"request_id": "id", "timestamp": "created_at", "provider": "provider", "model": "model"}
        | {"input_tokens": "tokens_in", "output_tokens": "tokens_out"},
    ),
    "a tracer's runs": (
        {"id": "run", "start_time": _TIME, "prompt_tokens": 5, "completion_tokens": 7, "session_id": "project"}
        | {"extra": {"metadata": {"ls_model_name": "gpt-5", "ls_provider": "openai"}}},
        {"request_id": "id", "timestamp": "start_time", "model": "extra.metadata.ls_model_name", "provider": "extra.metadata.ls_provider"}
        | {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"},
    ),
    "a table of one's own": (
        {"callId": 7, "ts": 1762160400, "modelName": "gpt-5", "inputTokens": "9", "outputTokens": "2", "latencyMs": "810.5"},
        {"request_id": "callId", "timestamp": "ts", "model": "modelName", "input_tokens": "inputTokens", "output_tokens": "outputTokens"}
        | {"latency_ms": "latencyMs"},
    ),
}


@pytest.mark.parametrize("tool", _TOOLS)
def test_a_tools_columns_are_proposed_and_can_be_read(tool: str) -> None:
    """Exactly the columns that are sure are proposed, durations and costs without a unit are not, and the mapping reads the record."""
    record, expected = _TOOLS[tool]
    found = suggested([record] * 5)
    assert found == expected
    assert mapped(record, compiled(found)).keys() >= expected.keys()


def test_a_name_is_not_enough() -> None:
    """Columns called like ours whose values are no times, counts or prompts are not proposed; nor is one that most records lack."""
    records = [{"time": "soon", "model": 5, "input_tokens": -3, "messages": "Say hi", "created": True, "id": {"a": 1}}] * 3
    assert suggested(records) == {}
    assert suggested([{"model": "gpt-5"}, {}, {}]) == {}
    assert suggested([]) == {}


def test_of_several_the_one_nearest_the_top_is_proposed() -> None:
    """A column of the record itself stands before one of an object in it, and no column is proposed twice."""
    record = {"inner": {"id": "a", "timestamp": _TIME}, "id": "b", "created": 1762160400}
    assert suggested([record]) == {"request_id": "id", "timestamp": "created"}
