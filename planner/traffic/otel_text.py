"""What was said in a call, as spans hold it → messages in OpenAI's shape, answer and finish reason.

In: a span's flat record. Out: the text columns. Shapes: the conventions' messages with parts (objects or JSON text, on the span or on its
event), OpenLLMetry's ``gen_ai.prompt.N.…``, OpenInference's ``llm.input_messages.N.message.…``, and plain ``gen_ai.prompt`` or
``input.value``. A text that a length limit cut off is no JSON any more: it is kept as ``cut``. Knows nothing of tokens or times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner.traffic.reader import Record, Row
from planner.traffic.shapes import answer_columns, message_columns, prompt_columns
from planner.traffic.values import as_json, text, unjson

__all__ = ["text_columns"]

_PROMPT = ("gen_ai.input.messages", "gen_ai.prompt", "input.value")
_ANSWER = ("gen_ai.output.messages", "gen_ai.completion", "output.value")
_NUMBERED_PROMPT, _NUMBERED_ANSWER = ("gen_ai.prompt.", "llm.input_messages."), ("gen_ai.completion.", "llm.output_messages.")
_FINISH = ("gen_ai.response.finish_reasons", "llm.response.finish_reason", "llm.finish_reason")
#: Events that hold one message each → its role.
_SAID = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
#: The conventions' word → OpenAI's.
_REASONS = {"tool_call": "tool_calls"}


def text_columns(record: Record) -> Row:
    """Return messages, answer, finish reason and what the messages show, as far as the span has them.

    >>> row = text_columns({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi", "gen_ai.completion": "Ho", "events": []})
    >>> row["messages"], row["response"]
    ('[{"role":"user","content":"Hi"}]', 'Ho')
    """
    held = {**_of_events(record["events"]), **record} if record["events"] else record
    asked, said = _held(held, _PROMPT, _NUMBERED_PROMPT), _held(held, _ANSWER, _NUMBERED_ANSWER)
    row = prompt_columns(_messages(asked), _system(held.get("gen_ai.system_instructions")))
    if isinstance(asked, str) and asked.lstrip()[:1] in ("[", "{"):
        row["text_state"] = "cut"
    return {**row, **_answer(_messages(said), unjson(_one(held, _FINISH)))}


def _held(record: Record, names: Sequence[str], numbered: Sequence[str]) -> Any:
    """Return what the conventions' attribute holds, else what numbered ones do, else plain text or a body."""
    whole = record.get(names[0])
    if whole is not None and whole != "":
        return unjson(whole)
    if whole is None:
        for prefix in numbered:
            if found := _numbered(record, prefix):
                return found
    return unjson(_one(record, names))


def _one(record: Record, names: Sequence[str]) -> Any:
    for name in names:
        value = record.get(name)
        if value is not None and value != "":
            return value
    return None


def _answer(said: Any, finish: Any) -> Row:
    """Return the answer's columns; of several choices the first counts."""
    if isinstance(said, list) and said:
        said = said[0]
    if isinstance(finish, list):
        finish = finish[0] if finish else None
    body = isinstance(said, dict) and not said.keys() & {"content", "tool_calls"}
    if body and said.get("finish_reason") is None:
        row = answer_columns(said)  # a provider's whole answer
        return {**row, "finish_reason": row.get("finish_reason") or _REASONS.get(str(finish), text(finish))}
    message = dict(said) if isinstance(said, dict) else {"content": said}
    own = message.pop("finish_reason", None)
    if isinstance(content := message.get("content"), list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        message["content"] = "".join(str(p.get("text") or "") for p in content)
    reason = finish if finish is not None else own
    return message_columns(message, _REASONS.get(str(reason), reason))


def _messages(value: Any) -> Any:
    """Return a list of messages in OpenAI's shape, anything else as it is."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    return [_message(m) if isinstance(m, dict) else m for m in value] if isinstance(value, list) else value


def _message(message: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = message.get("message")
    if isinstance(inner, dict):
        return _openinference(inner)
    parts = message.get("parts")
    if isinstance(parts, list):
        return _of_parts(message, parts)
    calls = unjson(message.get("tool_calls"))
    if isinstance(calls, list):
        return {**message, "tool_calls": [_call(c) if isinstance(c, dict) and "function" not in c else c for c in calls]}
    return message


def _of_parts(message: Mapping[str, Any], listed: Sequence[Any]) -> Mapping[str, Any]:
    """Return a message of the conventions in OpenAI's shape: calls of tools beside the content, a tool's answer as its content."""
    if len(listed) == 1 and isinstance(only := listed[0], dict) and only.get("type") == "text":
        found = {"role": message.get("role"), "content": _said(only)}
        return found if message.get("finish_reason") is None else {**found, "finish_reason": message["finish_reason"]}
    parts = [p if isinstance(p, dict) else {"type": "text", "content": p} for p in listed]
    found = {"role": message.get("role")}
    calls = [_call(p) for p in parts if p.get("type") == "tool_call"]
    answers = [p for p in parts if p.get("type") == "tool_call_response"]
    said = [_part(p) for p in parts if p.get("type") not in ("tool_call", "tool_call_response")]
    if answers:
        result = next((answers[0][k] for k in ("response", "result") if answers[0].get(k) is not None), None)
        found |= {"tool_call_id": answers[0].get("id"), "content": result if isinstance(result, str) else as_json(result)}
        return found
    found["content"] = said[0]["text"] if len(said) == 1 and said[0]["type"] == "text" else said or None
    if calls:
        found["tool_calls"] = calls
    return found if message.get("finish_reason") is None else {**found, "finish_reason": message["finish_reason"]}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("text", "reasoning"):
        return {"type": kind, "text": _said(part)}
    modality = str(part.get("modality") or "file")
    return {"type": modality, modality: {k: v for k, v in part.items() if k in ("uri", "file_id", "mime_type")}}


def _said(part: Mapping[str, Any]) -> Any:
    return part.get("content") or part.get("text") or ""


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool call in OpenAI's shape, of one with its name and arguments side by side."""
    asked = call.get("arguments")
    function = {"name": call.get("name"), "arguments": asked if isinstance(asked, str) or asked is None else as_json(asked)}
    return {"id": call.get("id"), "type": "function", "function": function}


def _openinference(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message in OpenAI's shape, its fields in one order whatever order its attributes come in."""
    found = {k: message[k] for k in ("role", "content", "tool_call_id", "name") if k in message}
    contents = message.get("contents")
    if isinstance(contents, list):
        said = [c["message_content"] for c in contents if isinstance(c, dict) and isinstance(c.get("message_content"), dict)]
        found["content"] = [dict(sorted(part.items(), key=lambda field: (field[0] != "type", field[0]))) for part in said]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        asked = [c["tool_call"] for c in calls if isinstance(c, dict) and isinstance(c.get("tool_call"), dict)]
        found["tool_calls"] = [_call({"id": a.get("id"), **f}) for a in asked if isinstance(f := a.get("function") or {}, dict)]
    return found


def _numbered(record: Record, prefix: str) -> list[Any] | None:
    """Return what ``prefix0.…``, ``prefix1.…`` hold as a list of nested objects, None where there is no such name.

    >>> _numbered({"p.0.role": "user", "p.0.tool_calls.0.name": "f"}, "p.")
    [{'role': 'user', 'tool_calls': [{'name': 'f'}]}]
    """
    if not any(f"{prefix}0.{first}" in record for first in ("role", "content", "message.role", "message.content", "finish_reason")):
        return None
    root: dict[str, Any] = {}
    for name, value in record.items():
        if name.startswith(prefix):
            node: Any = root
            *above, last = name[len(prefix) :].split(".")
            for step in above:
                node = node.setdefault(step, {}) if isinstance(node, dict) else None
            if isinstance(node, dict):
                node[last] = value
    found = _listed(root)
    return found if isinstance(found, list) else None


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if all(key.isdecimal() for key in node):
        return [_listed(node[key]) for key in sorted(node, key=int)]
    return {key: _listed(value) for key, value in node.items()}


def _system(value: Any) -> Any:
    """Return the system instructions as text: they are text, parts, or messages with parts."""
    value = unjson(value)
    if not isinstance(value, list):
        return value
    parts = [p for v in value if isinstance(v, dict) for p in (v["parts"] if isinstance(v.get("parts"), list) else [v])]
    return "\n".join(str(t) for p in parts if isinstance(p, dict) and (t := p.get("content") or p.get("text")))


def _of_events(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what events say that a span may say itself: whole message lists, or one message each."""
    found: dict[str, Any] = {}
    asked: list[dict[str, Any]] = []
    for event in events:
        name = event.get("event")
        if name in _SAID:
            asked.append({**{k: v for k, v in event.items() if k not in ("event", "at")}, "role": _SAID[str(name)]})
        elif name == "gen_ai.choice":
            found.setdefault("gen_ai.output.messages", [unjson(event.get("message")) or {"content": event.get("content")}])
        else:
            found |= {k: v for k, v in event.items() if k in (*_PROMPT, *_ANSWER, "gen_ai.system_instructions")}
    return {"gen_ai.input.messages": asked, **found} if asked else found
