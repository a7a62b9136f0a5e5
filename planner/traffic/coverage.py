"""What a log can answer: which columns it fills, per app, in requests and in dollars, and which levers that opens.

In: a Traffic handle and, where they were computed, the cost of every row. Out: a table of shares, the levers with the
share of spend each can speak about, and the setting that would open the rest; a row of a sample counts as often as it stands for. Text
itself is never loaded. Knows nothing of how costs or levers work.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.schema import MADE_KEY
from planner.traffic.handle import Traffic
from planner.traffic.sampling import heaviest, limits, needs_every_row, too_thin, units_of

__all__ = ["Coverage", "coverage"]

_COLUMNS = (
    *("app", "text_state", "session_id", "user", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("status", "finish_reason", "input_tokens", "output_tokens", "reasoning_tokens", "latency_ms", "ttft_ms", "stream"),
    *("cache_key", "prompt_version", "action_propensities", "quality", "purpose", "source_cost_usd", "cache_hit", "weight"),
)
_TEXT, _REPEATS = "prompt text", "prompts to tell again"
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "litellm_spend": {
        _TEXT: "general_settings.store_prompts_in_spend_logs: true",
        "whole prompts": "MAX_STRING_LENGTH_PROMPT_IN_DB=1000000 in the proxy's environment",
        "token counts": "general_settings.always_include_stream_usage: true",
        "first-token times": "a logging callback (s3_v2, gcs_bucket, generic_api): its payloads say which calls were streams",
        "failures": "general_settings.disable_error_logs: false",
        "latencies": "endTime in the dump of LiteLLM_SpendLogs",
    },
    "litellm_payload": {
        _TEXT: "litellm_settings.turn_off_message_logging: false",
        "whole prompts": "MAX_STRING_LENGTH_PROMPT_IN_DB=1000000 in the proxy's environment",
        "token counts": "general_settings.always_include_stream_usage: true",
        "first-token times": "completionStartTime in the payload of every stream",
        "failures": "litellm_settings.failure_callback beside success_callback",
        "latencies": "endTime in every payload",
    },
    "otel": {
        _TEXT: "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY",
        "whole prompts": "no OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    },
    "helicone_export": {_TEXT: "npx @helicone/export --include-body"},
    "openai_batch": {_TEXT: "read the batch's input file together with its output"},
    "anthropic_batch": {_TEXT: "read the batch's requests together with its results"},
    "bedrock": {_TEXT: "textDataDeliveryEnabled: true in the logging configuration of model invocations"},
    "apim_llm": {
        _TEXT: "Log LLM messages: Enabled, with prompts and completions, in the API's diagnostic settings",
        "whole prompts": "a larger size of logged prompts in the API's diagnostic settings (maxSizeInBytes)",
        "latencies": "read ApiManagementGatewayLogs together with ApiManagementGatewayLlmLog",
        "failures": "read ApiManagementGatewayLogs together with ApiManagementGatewayLlmLog",
    },
}
_ANY: Mapping[str, str] = {
    _TEXT: "log the messages of every request (column messages, with text_state full)",
    "whole prompts": "log messages without shortening them",
    "token counts": "log usage, for streams with stream_options.include_usage: true",
    "first-token times": "log the time to first token of streams (ttft_ms)",
    "failures": "log failed calls with their error class (status, error_class)",
    "latencies": "log the latency of every call (latency_ms)",
}
#: Levers that a plan refuses where not every row, or not every text, is there, by their key.
_KEYS = {"exact cache": "exact_cache", "semantic cache": "semantic_cache", "prompt cache": "prompt_cache", "batch": "batch"}


@dataclass(frozen=True, eq=False)
class Coverage:
    """What a log can answer.

    Parameters
    ----------
    table: per app (and ``all``) and property: rows (weighted), their share, the dollars on them [USD] and their share.
    levers: per lever the share of rows and of spend it can speak about, what it needs, and the setting that opens the rest.
    money: where the dollars come from.
    drawn: how many rows a sample has that stand for those of the table; None of a log that is whole.
    limits: the interval of all dollars of a sample [USD], None where there is none to give. thin: why there is none, where a sample of
        another share would have one.
    """

    table: pd.DataFrame = field(repr=False)
    levers: pd.DataFrame = field(repr=False)
    money: str
    drawn: int | None = None
    limits: tuple[float, float] | None = None
    thin: str = ""

    @property
    def text(self) -> str:
        """The same in a few sentences, the dearest gap first."""
        whole = self.table[(self.table["app"] == "all") & (self.table["what"] == "requests")].iloc[0]
        spend = "" if np.isnan(whole["usd"]) else f", ${whole['usd']:,.2f}"
        spend += "" if self.limits is None else f" [${self.limits[0]:,.2f}, ${self.limits[1]:,.2f}]"
        column = "share_rows" if np.isnan(whole["usd"]) else "share_usd"
        unit = "requests" if np.isnan(whole["usd"]) else "spend"
        sample = "" if self.drawn is None else f"{self.drawn:,} rows of a sample stand for "
        lines = [f"{sample}{whole['rows']:,.0f} requests{spend} ({self.money}).", *([self.thin] if self.thin else [])]
        counted = self.table[(self.table["app"] == "all") & (self.table["what"] == "tokens")]["rows"].iloc[0]
        if counted < whole["rows"]:
            lines.append(f"{whole['rows'] - counted:,.0f} of them have no token counts: no cost.")
        for share, some in self.levers.sort_values(column, kind="stable").groupby(column, sort=True):
            lines.append(f"{', '.join(some['lever'])}: can speak about {share:.0%} of {unit}.")
        for setting in dict.fromkeys(s for s in self.levers.sort_values(column, kind="stable")["setting"] if s):
            opened = self.levers[self.levers["setting"] == setting]
            lines.append(f"Open the rest of {', '.join(opened['lever'])}: {setting}.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        shown = self.table.pivot(index="app", columns="what", values="share_rows")
        return f"<pre>{html.escape(self.text)}</pre>{shown.to_html(float_format='{:.0%}'.format)}"


def coverage(traffic: Traffic, cost_usd: NDArray[np.float64] | None = None) -> Coverage:
    """Say what ``traffic`` can answer.

    Parameters
    ----------
    traffic: a read log.
    cost_usd: [USD] of every row in stored order, its weight not counted, as prices computed it; without it the log's own costs are used.
    """
    frame = traffic.frame(*_COLUMNS)
    weight = frame["weight"].to_numpy(float)
    sampled = bool((weight != 1).any())
    cost, money = _money(frame, cost_usd, sampled)
    usd = cost * weight
    facts = _facts(frame, traffic.arrow("prefix_blocks")["prefix_blocks"].is_valid().to_numpy())
    table = _table(frame["app"].to_numpy(), usd, weight, facts)
    settings = {**_ANY, **_SETTINGS.get(str(traffic.meta.get("source_format")), {})}
    settings |= {_REPEATS: _repeats(facts, settings, traffic.text_left)}
    if traffic.with_text:
        settings |= {_TEXT: traffic.with_text}
    elif any(drawn["text_only"] for drawn in traffic.meta.get("samples", ())):
        settings |= {_TEXT: "read the log without --sample-text"}
    levers = _levers(facts, usd, weight, settings, _refused(traffic))
    if not sampled:
        return Coverage(table, levers, money)
    thin = too_thin(traffic)
    low, high = (None, None) if np.isnan(usd).any() else limits(usd, weight, units_of(traffic), thin)
    return Coverage(table, levers, money, len(frame), None if low is None or high is None else (low, high), thin)


def _repeats(facts: Mapping[str, NDArray[np.bool_]], settings: Mapping[str, str], text_left: int) -> str:
    """Return what would let all prompts be told again where those that were whole left their hash: the others were cut, or not logged.

    Of ``text_left`` requests the log has texts; those of them without a key had a prompt that was cut.
    """
    keyless = ~(facts["cache key"] | facts["prompt's hash"])
    cut = max(text_left - int((~keyless).sum()), 0)
    how = [settings["whole prompts"]] * (cut > 0) + [settings[_TEXT]] * (int(keyless.sum()) > cut)
    return "; ".join(how)


def _refused(traffic: Traffic) -> dict[str, tuple[str, str]]:
    """Return what levers need, and how it is had, that a plan refuses on this sample, by the lever; none on a log that is whole."""
    if not traffic.meta.get("samples"):
        return {}
    rows, texts = ("every request", "read the log without --sample"), ("the text of every request", "read the log without --sample-text")
    why = texts if heaviest(traffic) is None else rows
    return {lever: why for lever, key in _KEYS.items() if needs_every_row(traffic, [key])}


def _money(frame: pd.DataFrame, cost_usd: NDArray[np.float64] | None, sampled: bool) -> tuple[NDArray[np.float64], str]:
    if cost_usd is not None:
        if np.shape(cost_usd) != (len(frame),):
            raise InputError(
                f"cost_usd of shape {np.shape(cost_usd)}", f"one cost per row: shape ({len(frame)},)", "pass the audit's cost column"
            )
        return np.asarray(cost_usd, float), f"{'estimated, ' if sampled else ''}at the prices of the audit"
    own = frame["source_cost_usd"].to_numpy(float)
    if np.isnan(own).all():
        return own, "no costs in this log: shares are of requests"
    missing = int(np.isnan(own).sum())
    known = "estimated" if sampled else "measured"
    return np.nan_to_num(own), f"{known}: as the log itself states{f'; {missing:,} rows state none' if missing else ''}"


def _facts(frame: pd.DataFrame, blocks: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return per property of a row a mask; ``requests`` is all of them."""
    known = {c: frame[c].notna().to_numpy() for c in frame.columns}
    made = frame["cache_key"].str.startswith(MADE_KEY, na=False).to_numpy(bool)
    state = frame["text_state"].to_numpy()
    sizes = frame["session_id"].map(frame["session_id"].value_counts()).to_numpy(float)
    cache = frame[["cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"]].to_numpy().sum(axis=1)
    tokens = frame[["input_tokens", "output_tokens", "reasoning_tokens"]].to_numpy().sum(axis=1) + cache
    failed = frame["status"].to_numpy() != "ok"
    every = np.ones(len(frame), bool)
    return {
        "requests": every,
        "text full": state == "full",
        "text cut": state == "cut",
        "text none": state == "none",
        "prefix blocks": blocks,
        "user": known["user"],
        "session": known["session_id"],
        "session of several": np.nan_to_num(sizes) > 1,
        "tokens": (tokens > 0) | failed | frame["cache_hit"].to_numpy(bool),
        "cached tokens": cache > 0,
        "failed": failed,
        "finish reason": known["finish_reason"],
        "latency": known["latency_ms"],
        "stream": frame["stream"].to_numpy(bool),
        "first-token time": known["ttft_ms"],
        "cache key": known["cache_key"] & ~made,
        "prompt's hash": made,
        "prompt version": known["prompt_version"],
        "propensities": known["action_propensities"],
        "quality": known["quality"],
        "overhead": frame["purpose"].to_numpy() == "overhead",
    }


def _table(
    apps: NDArray[Any], usd: NDArray[np.float64], weight: NDArray[np.float64], facts: Mapping[str, NDArray[np.bool_]]
) -> pd.DataFrame:
    names, codes = np.unique(apps.astype(str), return_inverse=True)
    known = not np.isnan(usd).all()
    parts = []
    for what, mask in facts.items():
        rows = np.bincount(codes[mask], weights=weight[mask], minlength=len(names))
        money = np.bincount(codes[mask], weights=usd[mask], minlength=len(names)) if known else np.full(len(names), np.nan)
        part = pd.DataFrame({"app": ["all", *names], "what": what, "rows": [rows.sum(), *rows], "usd": [money.sum(), *money]})
        parts.append(part)
    whole = parts[0]
    for part in parts:
        part.insert(3, "share_rows", part["rows"] / whole["rows"])
        part["share_usd"] = part["usd"] / whole["usd"].where(whole["usd"] > 0)
    return pd.concat(parts, ignore_index=True)


def _levers(
    facts: Mapping[str, NDArray[np.bool_]],
    usd: NDArray[np.float64],
    weight: NDArray[np.float64],
    settings: Mapping[str, str],
    refused: Mapping[str, tuple[str, str]],
) -> pd.DataFrame:
    full, tokens, latency = facts["text full"], facts["tokens"], facts["latency"]
    text_gap = "whole prompts" if facts["text cut"].sum() > facts["text none"].sum() else _TEXT
    timed = latency & facts["first-token time"] & facts["stream"]
    if not facts["stream"].any():
        settings = {**settings, "first-token times": f"not streamed today; once streamed, {settings['first-token times']}"}
    unheard = facts["stream"] & ~facts["failed"] & ~timed if facts["stream"].any() else ~timed
    failing = facts["requests"] if facts["failed"].any() else ~facts["requests"]
    repeats = text_gap if not facts["prompt's hash"].any() else _REPEATS
    needs = {
        "routing": (full & tokens, "full text, tokens", text_gap),
        "exact cache": (full | facts["cache key"] | facts["prompt's hash"], "full text or cache key", repeats),
        "semantic cache": (full, "full text", text_gap),
        "prompt cache": ((full | facts["prefix blocks"]) & tokens, "full text or prefix blocks, tokens", text_gap),
        "compression": (full & tokens, "full text, tokens", text_gap),
        "batch": (tokens, "tokens", "token counts"),
        "hedging": (latency, "latency", "latencies"),
        "retries": (failing & latency, "failures in the log, latency", "latencies" if facts["failed"].any() else "failures"),
        "streaming": (timed, "streams with latency and first-token time", "first-token times"),
    }
    total, requests = usd.sum(), weight.sum()
    rows = []
    for lever, (mask, need, gap) in needs.items():
        setting = "" if mask.all() or (lever == "streaming" and not unheard.any()) else settings[gap]
        if lever in refused:
            mask, (more, setting) = np.zeros_like(mask), refused[lever]
            need = f"{need}; {more}"
        share = float(usd[mask].sum() / total) if total > 0 else np.nan
        rows.append((lever, float(weight[mask].sum() / requests) if requests else np.nan, share, need, setting))
    return pd.DataFrame(rows, columns=["lever", "share_rows", "share_usd", "needs", "setting"])
