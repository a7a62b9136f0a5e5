"""Which of a table's columns are likely which of ours, told by their names and by what stands in them.

In: some records of a table of no known format. Out: a mapping to propose, for a person to check; nothing is read by it unasked. Never
proposed is what a name alone does not tell: durations and costs without their unit, sessions (a project elsewhere). Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from planner.traffic import values
from planner.traffic.reader import Record

__all__ = ["suggested"]

_DEEP, _OFTEN = 4, 0.5
#: Paths that a mapping takes as they are.
_PLAIN = re.compile(r"[\w][\w. /-]*")


def _is_time(value: Any) -> bool:
    return not isinstance(value, bool | float) and (values.micros(value, "") or 0) > 0


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and values.count(value, "") is not None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) < 200


def _is_id(value: Any) -> bool:
    return _is_name(value) or type(value) is int


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and values.number(value, "") is not None


def _is_prompt(value: Any) -> bool:
    found = values.unjson(value)
    return isinstance(found, list) and bool(found) and all(isinstance(m, dict) and "role" in m for m in found)


#: Our column → what others call it, letters alone, the surest first; and what stands in it.
_NAMES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "request_id": ("requestid id callid runid logid uuid spanid generationid eventid traceid", _is_id),
    "timestamp": ("timestamp createdat starttime startedat requesttime eventtime datetime time ts created date", _is_time),
    "model": ("model modelname modelid aimodel llmmodel lsmodelname modelused deployment engine", _is_name),
    "provider": ("provider aiprovider aiorg lsprovider vendor modelprovider", _is_name),
    "input_tokens": ("inputtokens prompttokens tokensin inputtokencount prompttokencount tokensprompt requnits tokensinput", _is_count),
    "output_tokens": (
        "outputtokens completiontokens tokensout outputtokencount candidatestokencount tokenscompletion resunits tokensoutput",
        _is_count,
    ),
    "latency_ms": ("latencyms durationms responsetimems elapsedms", _is_number),
    "source_cost_usd": ("costusd totalcostusd usdcost", _is_number),
    "messages": ("messages inputmessages", _is_prompt),
}


def suggested(records: Sequence[Record]) -> dict[str, str]:
    """Return a mapping from columns of ours to columns of ``records``, nested ones by their path; empty where none is alike.

    >>> row = {"id": 7, "created_at": "2026-11-03T09:00:00Z", "usage": {"prompt_tokens": 5, "total": 9}, "ai_model": "gpt-5", "took": 1}
    >>> suggested([row])
    {'request_id': 'id', 'timestamp': 'created_at', 'model': 'ai_model', 'input_tokens': 'usage.prompt_tokens'}
    """
    held: dict[str, list[Any]] = {}
    for record in records:
        for path, value in _leaves(record):
            held.setdefault(path, []).append(value)
    often = {path: found for path, found in held.items() if len(found) >= _OFTEN * len(records) and _PLAIN.fullmatch(path)}
    found: dict[str, str] = {}
    for ours, (names, fits) in _NAMES.items():
        ranks = {name: rank for rank, name in enumerate(names.split())}
        alike = [p for p in often if _letters(p) in ranks and p not in found.values() and all(_holds(fits, v) for v in often[p])]
        if alike:
            found[ours] = min(alike, key=lambda path: (path.count("."), ranks[_letters(path)]))
    return found


def _leaves(record: Mapping[str, Any], above: str = "", deep: int = 1) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and deep < _DEEP:
            yield from _leaves(value, f"{path}.", deep + 1)
        elif value is not None and value != "":
            yield path, value


def _letters(path: str) -> str:
    return "".join(c for c in path.rpartition(".")[2].lower() if c.isalnum())


def _holds(fits: Callable[[Any], bool], value: Any) -> bool:
    try:
        return fits(value)
    except values.Rejected:
        return False
