"""The sample world put together: every request with its text, times, tokens, end and cost.

In: how many requests, and a seed. Out: a Log: one table in order of time, the drafts beside it, and what only the
generator knows (demands, topics, groups). Knows nothing of file formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.stats import draws
from planner.synthetic import calls, programs, prose, records, tools
from planner.synthetic.arrivals import Requests, Sessions, requests_of, sessions
from planner.synthetic.drafts import Draft, Draw, Message, dumps
from planner.synthetic.world import APPS, DAYS, MODELS, SEED, model_at
from planner.text.tokens import count_tokens

__all__ = ["REQUESTS", "Log", "build", "fill_inputs", "fill_latencies", "fill_reuse"]

#: Requests in the sample, router overhead apart.
REQUESTS = 50_500
_HOUR_US, _DAY_US = 3_600_000_000, 86_400_000_000
_GATEWAY_TTL_US = 4 * _HOUR_US
_RETRY_MS = 1200.0
_PROVIDERS = np.array([m.provider for m in MODELS], object)
_MESSAGE_OVERHEAD, _REPLY_OVERHEAD = 4, 3
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Log:
    """``table`` (one row per request, in order of time), its ``drafts``, the seed, the ``month`` from 0, and the demands, shape (n, 8).

    Columns: request_id, key, app, session, turn, user, time_us, model, version, group, topic, explored, status, error, code,
    attempts, raw (input in o200k tokens), input (tokens as billed), cached, written, visible, reasoning, runaway,
    base (tokens), first_ms, total_ms, cache_hit.
    """

    table: pd.DataFrame
    drafts: list[Draft]
    seed: int
    month: int = 0

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def demand(self) -> NDArray[np.float64]:
        """The demand of every request, columns as world.DIMENSIONS."""
        return np.array([d.demand for d in self.drafts], float).reshape(len(self.drafts), -1)

    def column(self, name: str) -> NDArray[Any]:
        """Return one column as an array."""
        return self.table[name].to_numpy()


def build(requests: int = REQUESTS, seed: int = SEED, progress: Progress | None = None, month: int = 0) -> Log:
    """Make the log of ``requests`` requests; equal arguments give an equal log. ``progress`` hears (sessions done, in all).

    A later ``month`` (of DAYS days, from 0) of another seed has other requests of the same users, apps, models and prompt versions.
    """
    who = sessions(requests, seed)
    rows = requests_of(who, seed)
    table = _plan(who, rows, seed, month)
    drafts = _draft(who, rows, table, seed, progress)
    _count(drafts)
    table["topic"] = [d.topic for d in drafts]
    table["group"] = _groups(drafts)
    _outputs(table, drafts, seed)
    fill_inputs(table, drafts)
    fill_latencies(table, drafts, seed)
    table["time_us"] = _times(who, rows, table, seed)
    order = np.lexsort((table["request_id"].to_numpy().astype(str), table["time_us"].to_numpy()))
    drafts = [drafts[i] for i in order]
    table = table.iloc[order].reset_index(drop=True)
    fill_reuse(table, drafts)
    return Log(table, drafts, seed, month)


def _plan(who: Sessions, rows: Requests, seed: int, month: int) -> pd.DataFrame:
    """Return what is known before a word is written: app, model, prompt version, how the request ends, and its base length."""
    app, day, hour = who.app[rows.session], (who.start_us // _DAY_US)[rows.session], (who.start_us // _HOUR_US)[rows.session]
    names, day = np.array([m.name for m in MODELS]), day + month * DAYS
    model, version = np.empty(len(app), np.int64), np.empty(len(app), object)
    explored = np.zeros(len(app), bool)
    coin = draws.uniform(seed, draws.key(f"{seed}/{x}" for x in who.name), "explore")[rows.session]
    for i, a in enumerate(APPS):
        mine = np.flatnonzero(app == i)
        model[mine] = np.searchsorted(names, model_at(a.models, day[mine]).astype(str))
        version[mine] = model_at(a.versions, day[mine])
        if a.explore:
            rare = mine[coin[mine] < a.explore[1]]
            model[rare], explored[rare] = int(np.searchsorted(names, a.explore[0])), True
    end = calls.ends(rows.key, hour, _PROVIDERS[model], seed)
    factor = calls.length_factor(rows.key, app, model, seed)
    median = np.array([a.output or 20.0 for a in APPS])[app]
    length = median * np.exp(0.7 * draws.normal(seed, rows.key, "base length")) * factor
    return pd.DataFrame(
        {
            "request_id": rows.request_id, "key": rows.key, "app": app, "session": rows.session, "turn": rows.turn,
            "user": who.user[rows.session],
            "name": who.name[rows.session], "hour": hour, "model": model, "version": version, "explored": explored, "status": end.status,
            "error": end.error, "code": end.code, "attempts": end.attempts, "length": length, "factor": factor,
        }
    )  # fmt: skip


def _draft(who: Sessions, rows: Requests, table: pd.DataFrame, seed: int, progress: Progress | None) -> list[Draft]:
    drafts: list[Draft] = []
    length, failed, version = table["length"].tolist(), (table["status"] != "ok").tolist(), table["version"].tolist()
    start = 0
    for i, turns in enumerate(who.turns.tolist()):
        here = slice(start, start + turns)
        drafts += _session(int(who.app[i]), f"{who.name[i]}", version[start], length[here], failed[here], seed)
        start += turns
        if progress and i % 500 == 499:
            progress(i + 1, len(who.turns))
    if progress:
        progress(len(who.turns), len(who.turns))
    return drafts


def _session(app: int, name: str, version: str, length: list[float], failed: list[bool], seed: int) -> list[Draft]:
    draw = Draw(seed, name)
    match APPS[app].name:
        case "support-chat":
            return prose.chat(draw, name, prose.system(version, 22), length, failed)
        case "docs-rag":
            return [prose.documentation(draw, name, prose.system(version, 59), length[0], seed)]
        case "invoice-extract":
            return [records.invoice(draw, name, records.invoice_system(version))]
        case "code-assist":
            return [programs.code(draw, name, programs.code_system(version), length[0])]
        case "nightly-summary":
            return [prose.summary(draw, name, prose.system(version, 8), length[0])]
        case "ops-agent":
            return tools.agent(draw, name, tools.agent_system(version), length, failed)
        case "ticket-triage":
            return [records.ticket(draw, name, records.triage_system(version), seed)]
        case _:
            return [prose.untexted(draw, name, t) for t in range(len(length))]


def _count(drafts: list[Draft]) -> None:
    """Fill the token count of every message, each counted once however many requests repeat it."""
    seen: dict[int, Message] = {}
    for d in drafts:
        seen.update((id(m), m) for m in d.messages if not m.tokens)
        seen[id(d.answer)] = d.answer
    messages = list(seen.values())
    for message, tokens in zip(messages, count_tokens([m.counted for m in messages]).tolist(), strict=True):
        message.tokens = tokens


def _tools_tokens(draft: Draft, memo: dict[int, int]) -> int:
    if id(draft.tools) not in memo:
        memo[id(draft.tools)] = int(count_tokens([dumps(draft.tools)])[0]) if draft.tools else 0
    return memo[id(draft.tools)]


def _groups(drafts: list[Draft]) -> list[str]:
    """Return near-duplicate groups, in which requests of exactly equal text are together whatever wrote them."""
    first: dict[tuple[str, ...], str] = {}
    return [first.setdefault(tuple(m.text for m in d.messages), d.group) if d.messages else d.group for d in drafts]


def _outputs(table: pd.DataFrame, drafts: list[Draft], seed: int) -> None:
    """Fill visible output (what the answer's text counts), its base length, and who ran on until the limit."""
    key, app, model = (table[c].to_numpy() for c in ("key", "app", "model"))
    limit = np.array([a.max_tokens for a in APPS])[app]
    free = np.array([a.output > 20 for a in APPS])[app] & np.array([not d.answer.calls for d in drafts])
    away = calls.runs_away(key, model, seed) & free & (table["status"] == "ok").to_numpy()
    counted = np.array([d.answer.tokens for d in drafts])
    visible = np.where(counted > 0, counted, np.maximum(1, np.round(table["length"])).astype(np.int64))
    table["base"] = visible / table["factor"]
    away |= visible > limit
    for i in np.flatnonzero(away):
        _lengthen(drafts[i].answer, int(limit[i]))
    table["runaway"] = away
    table["visible"] = np.where(away, [d.answer.tokens or most for d, most in zip(drafts, limit, strict=True)], visible)


def fill_inputs(table: pd.DataFrame, drafts: list[Draft]) -> None:
    """Fill input tokens, whole and of the stable prefix (system prompt and tools), as the provider bills them."""
    memo: dict[int, int] = {}
    scale = np.array([m.scale for m in MODELS])[table["model"]]
    tools_tokens = np.array([_tools_tokens(d, memo) for d in drafts])
    texts = np.array([sum(m.tokens + _MESSAGE_OVERHEAD for m in d.messages) + d.hidden_tokens for d in drafts])
    first = np.array([d.messages[0].tokens + _MESSAGE_OVERHEAD if d.messages else 0 for d in drafts])
    table["raw"] = texts + tools_tokens + _REPLY_OVERHEAD
    table["input"] = np.round(scale * table["raw"]).astype(np.int64)
    table["prefix_tokens"] = np.round(scale * (first + tools_tokens)).astype(np.int64)


def fill_latencies(table: pd.DataFrame, drafts: list[Draft], seed: int) -> None:
    """Fill reasoning tokens and latencies; every attempt before the last costs a second and a bit."""
    key, app, model, hour, read, visible = (table[c].to_numpy() for c in ("key", "app", "model", "hour", "input", "visible"))
    reasoning = calls.reasoning_tokens(key, app, model, visible, np.array([d.demand[0] for d in drafts]), seed)
    first, total = calls.first_and_total_ms(key, model, hour, read, reasoning, visible, seed)
    wait = (table["attempts"].to_numpy() - 1) * _RETRY_MS
    table["reasoning"], table["first_ms"], table["total_ms"] = reasoning, first + wait, total + wait


def _lengthen(answer: Message, limit: int) -> None:
    """Make ``answer`` run on until the output limit; its history keeps the object, so later turns carry it too."""
    if not answer.text or answer.calls:
        return
    text = answer.text
    while int(count_tokens([text])[0]) < limit:
        text = f"{text} {answer.text}"
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if int(count_tokens([text[:middle]])[0]) <= limit else (low, middle)
    answer.text = text[:low]
    answer.tokens = int(count_tokens([answer.text])[0])


def _times(who: Sessions, rows: Requests, table: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Arrival of every turn [µs]: the one before, its latency, and a think time (seconds for people, moments for the agent)."""
    people = np.array([not a.reasons for a in APPS])[table["app"]]
    think = np.where(people, 38.0, 0.4) * np.exp(0.9 * draws.normal(seed, table["key"].to_numpy(), "think"))
    step = np.zeros(len(table), np.int64)
    gap = (table["total_ms"].to_numpy() * 1000).astype(np.int64)
    inner = rows.turn > 0
    step[inner] = (gap[np.flatnonzero(inner) - 1]) + (think[inner] * 1e6).astype(np.int64)
    total = np.cumsum(step)
    first = np.cumsum(who.turns) - who.turns
    return np.asarray(who.start_us[rows.session] + total - total[first][rows.session], np.int64) // 1000 * 1000


def fill_reuse(table: pd.DataFrame, drafts: list[Draft]) -> None:
    """Fill what depends on order: gateway hits of identical tickets, then the providers' prompt caches."""
    time, ok = table["time_us"].to_numpy(), (table["status"] == "ok").to_numpy()
    cached_app = np.array([a.name == "ticket-triage" for a in APPS])[table["app"]]
    hit = np.zeros(len(table), bool)
    filled: dict[str, int] = {}
    for i in np.flatnonzero(cached_app & ok):
        text = drafts[i].messages[-1].text
        hit[i] = time[i] - filled.get(text, -_GATEWAY_TTL_US) < _GATEWAY_TTL_US
        if not hit[i]:
            filled[text] = int(time[i])
    table["cache_hit"] = hit
    names = np.array([f"{m}/{v}" for m, v in zip(table["model"], table["version"], strict=True)], object)
    anthropic = (_PROVIDERS[table["model"].to_numpy()] == "anthropic") & ~np.array([a.name == "code-assist" for a in APPS])[table["app"]]
    cold = np.array([a.text == "none" for a in APPS])[table["app"]] | hit | ~ok
    table["cached"], table["written"] = calls.prompt_cache(
        time, names, table["prefix_tokens"].to_numpy(), table["session"].to_numpy(), table["input"].to_numpy(), anthropic, ~cold
    )
