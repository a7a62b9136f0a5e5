"""The tables every folder speaks in: their columns, units, meaning, and which are required.

In: nothing. Out: column lists as plain values, and their Arrow schemas on request (Arrow is imported only then, since
the bare runtime has none). Token buckets are exclusive: they sum to the source's total. Times are UTC. Quality is in
[0, 1]. Knows nothing of files or of how a column is filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CALLS",
    "EVIDENCE",
    "LABELS",
    "LABEL_ITEMS",
    "LEDGER",
    "MADE_KEY",
    "PARAMETERS",
    "PURPOSES",
    "QUARANTINE",
    "STATUSES",
    "TEXT_STATES",
    "TOKEN_BUCKETS",
    "TRAFFIC",
    "Column",
    "Table",
]

#: Where a number comes from, best first. Codes in arrays are the positions in this tuple.
EVIDENCE = ("measured", "estimated", "assumed")
#: How a request ended. The four failure kinds are kept apart because they are retried differently.
STATUSES = ("ok", "transport", "rate_limit", "content", "validation", "cancelled")
#: Whether the prompt text is whole, shortened by the logger, or absent.
TEXT_STATES = ("full", "cut", "none")
#: What shapes an answer besides the messages: columns of TRAFFIC.
PARAMETERS = ("model", "app", "max_tokens", "response_format", "has_tools", "reasoning_effort", "modalities")
#: Begins a ``cache_key`` that no gateway logged: the hash of a whole prompt whose text was not copied.
MADE_KEY = "text:"
#: Why a call to a provider was made.
PURPOSES = ("main", "retry", "hedge", "fallback", "verifier", "escalation", "compressor", "mirror")
#: The exclusive token buckets [tokens]; the first four are input.
TOKEN_BUCKETS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, Arrow type (as ``pyarrow.type_for_alias`` spells it), meaning and default.

    ``default`` fills a missing column; a required column has none and must be in the source.
    """

    name: str
    type: str
    doc: str
    required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Table:
    """A named list of columns."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        """Return the column called ``name``; KeyError when there is none.

        >>> TRAFFIC.column("latency_ms").type
        'double'
        """
        return next((c for c in self.columns if c.name == name), None) or _no_column(self, name)

    def arrow(self, names: tuple[str, ...] | None = None) -> pa.Schema:
        """Return the Arrow schema of all columns, or of ``names`` in the given order."""
        import pyarrow as pa  # the bare runtime has no Arrow

        chosen = self.columns if names is None else tuple(self.column(n) for n in names)
        return pa.schema([pa.field(c.name, _arrow_type(c.type), nullable=not c.required) for c in chosen])


def _no_column(table: Table, name: str) -> Column:
    raise KeyError(f"{table.name} has no column {name!r}; it has {', '.join(table.names)}")


def _arrow_type(alias: str) -> pa.DataType:
    import pyarrow as pa  # the bare runtime has no Arrow

    if alias == "timestamp":
        return pa.timestamp("us", tz="UTC")
    if alias == "list<int64>":
        return pa.list_(pa.int64())
    return pa.type_for_alias(alias)


def _buckets(who: str) -> tuple[Column, ...]:
    docs = (
        "input billed at the full rate",
        "input read from the provider's prompt cache",
        "input written to the prompt cache for five minutes (or the provider's only lifetime)",
        "input written to the prompt cache for one hour",
        "visible output, without reasoning",
        "reasoning output",
    )
    return tuple(Column(n, "int64", f"[tokens] {who}: {d}", default=0) for n, d in zip(TOKEN_BUCKETS, docs, strict=True))


#: One row per logical request.
TRAFFIC = Table(
    "traffic",
    (
        Column("request_id", "string", "unique id of the logical request", required=True),
        Column("timestamp", "timestamp", "UTC arrival", required=True),
        Column("app", "string", "who asked: the unit of ownership, floors and plans", default="default"),
        Column("user", "string", "end user, hashed or not: the first choice of cluster unit"),
        Column("session_id", "string", "conversation; null when the log does not know it"),
        Column("turn", "int32", "position in the session, from 0"),
        Column("provider", "string", "provider id as the price book spells it"),
        Column("model", "string", "the model that answered", required=True),
        Column("model_requested", "string", "the model or group that was asked for"),
        Column("action", "string", "what a logged policy chose, when it is not simply the model"),
        Column("action_propensities", "string", "JSON object: action → probability under the logged policy"),
        Column("policy_version", "string", "version of the logged policy"),
        Column("service_tier", "string", "standard | batch | flex | priority | fast", default="standard"),
        Column("messages", "string", "JSON list of messages, OpenAI's shape"),
        Column("response", "string", "the answer's text, or JSON when it holds tool calls"),
        Column("text_state", "string", "full | cut | none", default="none"),
        Column("prompt_version", "string", "prompt template name and version"),
        Column("cache_key", "string", "the gateway's response-cache key, or text: and the hash of a prompt that was not copied"),
        Column("cache_hit", "bool", "answered from the gateway's response cache: no provider was called", default=False),
        Column("prefix_blocks", "list<int64>", "ids of the prompt's leading blocks, where the log gives them instead of text"),
        *_buckets("source"),
        Column("max_tokens", "int64", "[tokens] output limit asked for"),
        Column("finish_reason", "string", "stop | length | tool_calls | content_filter | …"),
        Column("has_tools", "bool", "tools were offered", default=False),
        Column("response_format", "string", "text | json_object | json_schema", default="text"),
        Column("modalities", "string", "comma-separated input modalities", default="text"),
        Column("reasoning_effort", "string", "as asked for"),
        Column("latency_ms", "double", "[ms] whole call, as the caller saw it"),
        Column("ttft_ms", "double", "[ms] to the first token, streams only"),
        Column("stream", "bool", "answer was streamed", default=False),
        Column("status", "string", "ok | transport | rate_limit | content | validation | cancelled", default="ok"),
        Column("error_class", "string", "the source's own name of the failure"),
        Column("attempts", "int32", "calls made for this request, retries included", default=1),
        Column("source_cost_usd", "double", "[USD] as the source computed it"),
        Column("quality", "double", "[0, 1] where the log carries a score"),
        Column("quality_source", "string", "who gave the score"),
        Column("weight", "double", "how many requests of the full log this row stands for", default=1.0),
        Column("purpose", "string", "user | overhead (a router's or judge's own call)", default="user"),
        Column("tags", "string", "JSON list of the client's own tags"),
        Column("evidence", "string", "measured | estimated | assumed: how its tokens are known", default="measured"),
    ),
)

#: One row per call to a provider, observed or simulated. Levers produce only Calls; accounting prices only Calls.
CALLS = Table(
    "calls",
    (
        Column("request_id", "string", "the logical request this call serves", required=True),
        Column("attempt", "int32", "from 0, in the order in which calls were made", default=0),
        Column("purpose", "string", "main | retry | hedge | fallback | verifier | escalation | compressor | mirror", default="main"),
        Column("provider", "string", "provider id"),
        Column("model", "string", "model called", required=True),
        Column("tier", "string", "service tier", default="standard"),
        *_buckets("this call"),
        Column("start_ms", "double", "[ms] after the request arrived", default=0.0),
        Column("end_ms", "double", "[ms] after the request arrived"),
        Column("outcome", "string", "a status of the call", default="ok"),
        Column("evidence", "string", "measured | estimated | assumed", default="measured"),
    ),
)

#: The reduction of Calls per logical request.
LEDGER = Table(
    "ledger",
    (
        Column("request_id", "string", "logical request", required=True),
        Column("calls", "int32", "calls made", default=0),
        Column("model", "string", "the model whose answer the user got"),
        Column("cost_pusd", "int64", "[pUSD] all calls", default=0),
        Column("latency_ms", "double", "[ms] until the user had the answer"),
        Column("status", "string", "how the request ended", default="ok"),
        Column("quality", "double", "[0, 1] expected or measured quality of the answer"),
        Column("evidence", "string", "the weakest evidence among the request's numbers", default="measured"),
    ),
)

#: What was asked, once per labelled request; joined to LABELS by request_id.
LABEL_ITEMS = Table(
    "label_items",
    (
        Column("request_id", "string", "unique id; equal to the traffic's where the request was logged", required=True),
        Column("app", "string", "app or domain", default="default"),
        Column("user", "string", "end user"),
        Column("session_id", "string", "conversation"),
        Column("messages", "string", "JSON list of messages"),
        Column("text_state", "string", "full | cut | none", default="full"),
        Column("has_tools", "bool", "tools were offered", default=False),
        Column("response_format", "string", "text | json_object | json_schema", default="text"),
        Column("modalities", "string", "comma-separated input modalities", default="text"),
        Column("max_tokens", "int64", "[tokens] output limit asked for"),
        Column("group", "string", "near-duplicate group: never split between training and test"),
        Column("weight", "double", "how many requests of the population this item stands for", default=1.0),
    ),
)

#: Request × candidate (× prompt variant × repeat).
LABELS = Table(
    "labels",
    (
        Column("request_id", "string", "an item of LABEL_ITEMS", required=True),
        Column("model", "string", "the candidate that answered", required=True),
        Column("prompt_variant", "string", "compressed or rewritten prompt, else empty", default=""),
        Column("repeat", "int32", "repeat of the same question, from 0", default=0),
        Column("quality", "double", "[0, 1]", required=True),
        Column("grader", "string", "who graded, with version", default="unknown"),
        Column("response", "string", "the candidate's answer"),
        Column("reference", "string", "the right answer, where there is one"),
        Column("finish_reason", "string", "stop | length | …"),
        *(Column(c.name, c.type, c.doc) for c in _buckets("candidate")),
        Column("latency_ms", "double", "[ms]"),
        Column("cost_usd", "double", "[USD] as the source states it"),
        Column("validators", "string", "JSON object: validator → passed"),
    ),
)

#: What a reader could not accept: the whole record, where it stood, and why.
QUARANTINE = Table(
    "quarantine",
    (
        Column("file", "string", "file it came from", required=True),
        Column("line", "int64", "line, row or index in the file, from 1", required=True),
        Column("reason", "string", "one sentence", required=True),
        Column("raw", "string", "the record as it stood", required=True),
    ),
)
