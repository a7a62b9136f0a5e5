"""Azure API Management's log of model calls (``ApiManagementGatewayLlmLog``), joined with its gateway log by ``CorrelationId``.

A call has a record with its tokens, and further ones with its messages, in pieces of 32 KB by ``SequenceNumber``. Status, start, duration
and who called stand in ``ApiManagementGatewayLogs``. A call that failed may have messages and no record with tokens: then the gateway's
makes the row. All files are read together, in any order: rows of Log Analytics (CSV of the portal, JSON of ``az monitor log-analytics
query``) or the records that diagnostic settings write to storage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from planner.traffic.failures import failure_kind
from planner.traffic.reader import Options, Reader, Record, Row
from planner.traffic.shapes import answer_columns, first, prompt_columns, usage_columns
from planner.traffic.together import Part, more, together
from planner.traffic.values import Rejected, as_json, count, flag, micros, number, text, unjson

_TOKENS = ("prompttokens", "completiontokens", "totaltokens")
_LLM = ("requestmessages", "responsemessages", "deploymentname", *_TOKENS)
_GATEWAY = ("responsecode", "totaltime", "backendtime", "backendresponsecode")
#: How the portal's CSV writes times.
_PORTAL_TIME = "%m/%d/%Y, %I:%M:%S.%f %p"
#: Where a URL names the deployment.
_DEPLOYMENT = re.compile(r"/deployments/([^/?]+)")
_APPS = {"subscription": "apimsubscriptionid", "product": "productid", "api": "apiid", "deployment": "deploymentname"}


def _flat(record: Record) -> dict[str, Any]:
    """Return a record's fields by their names in small letters, whichever form it was exported in.

    >>> _flat({"category": "GatewayLlmLogs", "properties": {"promptTokens": 3}, "TimeGenerated [UTC]": "t"})["prompttokens"]
    3
    """
    inner = unjson(record.get("properties"))
    fields = {**record, **inner} if isinstance(inner, dict) else record
    return {str(name).lower().removesuffix(" [utc]"): value for name, value in fields.items()}


def _sniff(sample: Sequence[Record]) -> str | None:
    found = [_flat(r) for r in sample]
    seen = [n for n, signs in (("calls", _LLM), ("gateway requests", _GATEWAY)) if any(_like(f, signs) for f in found)]
    return f"API Management's log: {' and '.join(seen)} by CorrelationId" if seen else None


def _like(fields: Record, signs: Sequence[str]) -> bool:
    return "correlationid" in fields and sum(s in fields for s in signs) >= 2


def _part(record: Record, name: str) -> Part | None:
    fields = _flat(record)
    key = text(fields.get("correlationid"))
    if key is None:
        return None
    return Part("row", (key,)) if _counts(fields) else Part("more", (key,), stands=_like(fields, _GATEWAY))


def _orphan(record: Record) -> str:
    if _like(_flat(record), _GATEWAY):
        return "no call of ApiManagementGatewayLlmLog has this CorrelationId: another API, or refused before a model was called"
    return (
        "messages of a call without its record with tokens (SequenceNumber 0) and without its record in ApiManagementGatewayLogs; read the "
        "files that hold them, too"
    )


def _counts(fields: Record) -> bool:
    """Return whether a record is the one of its call that holds the tokens, not a piece of its messages or of the gateway's log."""
    if not _like(fields, _LLM):
        return False
    return str(fields.get("sequencenumber")) in ("0", "0.0") or any(
        text(fields.get(n)) not in (None, "0") for n in ("deploymentname", *_TOKENS)
    )


def _convert(record: Record, options: Options) -> Row:
    own = _flat(record)
    records = [own, *(_flat(r) for r in more(record, text(own.get("correlationid"))))]
    gate = next((r for r in records if _like(r, _GATEWAY)), {})
    pieces = [r for r in records if not _like(r, _GATEWAY)]
    fields = own if _counts(own) else _told(pieces)
    outcome = _outcome(gate)
    if not (pieces and (_counts(own) or gate)):
        raise Rejected("no record of a call's tokens")
    if not _counts(own) and outcome["status"] == "ok":
        raise Rejected("a call that was answered, without its record with tokens (SequenceNumber 0); read the file that holds it, too")
    asked, whole = _joined(pieces, "requestmessages")
    prompt = prompt_columns(asked)
    backend_ms = number(gate.get("backendtime"), "BackendTime")
    return {
        "request_id": text(own.get("correlationid")),
        "timestamp": _time(first(gate.get("timegenerated"), gate.get("time"), fields.get("timegenerated"), fields.get("time"))),
        "app": text({**fields, **gate}.get(_APPS[options.app_from or "subscription"])) or "default",
        "provider": "azure",
        "model": text(first(fields.get("modelname"), _deployment(fields, gate))) or (None if _counts(own) else "unknown"),
        "model_requested": text(_deployment(fields, gate)),
        "latency_ms": number(first(gate.get("totaltime"), gate.get("durationms"), backend_ms), "TotalTime"),
        "stream": flag(fields.get("isstreamcompletion"), "IsStreamCompletion") or False,
        "cache_hit": str(gate.get("cache")).lower() == "hit" and not backend_ms,
        **(prompt if whole or "messages" not in prompt else {**prompt, "text_state": "cut"}),
        **_answer(_joined(pieces, "responsemessages")[0]),
        **_usage(fields),
        **outcome,
    }


def _told(pieces: Sequence[Record]) -> Record:
    """Return what the pieces of a call say, each field once; the first that says anything counts."""
    return {name: value for piece in reversed(pieces) for name, value in piece.items() if first(value) is not None}


def _deployment(fields: Record, gate: Record) -> Any:
    """Return the deployment that a call's record names, or the address that was called."""
    urls = (str(gate.get(n)) for n in ("backendurl", "url"))
    return first(fields.get("deploymentname"), *(found[1] for url in urls if (found := _DEPLOYMENT.search(url))))


def _joined(pieces: Sequence[Record], name: str) -> tuple[Any, bool]:
    """Return the messages that ``pieces`` hold, in order, and whether they are whole."""
    held = [(count(p.get("sequencenumber"), "SequenceNumber") or 0, i, p[name]) for i, p in enumerate(pieces) if first(p.get(name))]
    values = [value for _, _, value in sorted(held, key=lambda h: h[:2])]
    if len(values) > 1 and all(isinstance(v, str) for v in values) and (one := unjson("".join(values))) != "".join(values):
        return one, True
    parsed = [unjson(value) for value in values]
    if not all(isinstance(p, list | dict) for p in parsed):
        return "".join(v if isinstance(v, str) else as_json(v) for v in values), False
    said: list[Any] = []
    for message in (m for p in parsed for m in (p if isinstance(p, list) else [p])):
        if said and _goes_on(said[-1], message):
            said[-1] = {**said[-1], "content": said[-1]["content"] + message["content"]}
        else:
            said.append(message)
    return said, True


def _goes_on(before: Any, after: Any) -> bool:
    alike = isinstance(before, dict) and isinstance(after, dict) and before.get("role") == after.get("role")
    return alike and isinstance(before.get("content"), str) and isinstance(after.get("content"), str)


def _answer(said: Any) -> Row:
    message = said[0] if isinstance(said, list) and said else said
    if not isinstance(message, dict) or "choices" in message:
        return answer_columns(message)
    return answer_columns({"choices": [{"message": message, "finish_reason": message.get("finish_reason")}]})


def _usage(fields: Record) -> Row:
    prompt, completion, total = (count(first(fields.get(n)), n) for n in _TOKENS)
    if prompt is None and completion is None:
        return {}
    prompt, completion = prompt or 0, completion or 0
    if total and total != prompt + completion:
        raise Rejected(f"input and output tokens are {prompt + completion}, the source's total {total}")
    cached = count(first(fields.get("promptcachedtokens")), "PromptCachedTokens") or 0
    outside = str(fields.get("modelname")).lower().startswith("claude")
    return usage_columns(prompt + cached * outside, completion, {"prompt_tokens_details": {"cached_tokens": cached}})


def _outcome(gate: Record) -> Row:
    code = count(first(gate.get("responsecode"), gate.get("backendresponsecode")), "ResponseCode")
    if not code or 200 <= code < 300:
        return {"status": "ok"}
    return {"status": failure_kind(None, code), "error_class": text(gate.get("lasterrorreason")) or str(code)}


def _time(value: Any) -> int | None:
    if isinstance(value, str) and value.endswith(("AM", "PM")):
        try:
            value = datetime.strptime(value, _PORTAL_TIME)
        except ValueError:
            raise Rejected(f"TimeGenerated is {value!r}, not a time") from None
    return micros(value, "TimeGenerated")


READER = Reader(
    "apim_llm",
    "API Management's ApiManagementGatewayLlmLog (columns CorrelationId, SequenceNumber, DeploymentName, ModelName, PromptTokens, ...), "
    "with ApiManagementGatewayLogs beside it",
    _sniff,
    _convert,
    (
        "the provider is Azure (another one behind the gateway: mapping={'provider': '=NAME'})",
        "a call without a record in ApiManagementGatewayLogs was answered",
        "a failed call whose deployment nothing names has the model 'unknown'",
        "PromptTokens hold cached tokens but for Claude; what was written to a cache is not logged",
        "a message that goes on in the next piece has the same role there",
    ),
    tuple(_APPS),
    together(_part, _orphan),
)
