r"""LiteLLM's own database, exported as its users do: a real proxy with keys and a team that writes LiteLLM_SpendLogs into PostgreSQL.

Run as a script it records ``tests/data/litellm_spend_logs.csv`` (``\copy`` of the table), ``….copy.ndjson`` (``\copy`` of rows as JSON, of
those with a quote in their text) and ``….sums.ndjson`` (what PostgreSQL itself sums). It needs psql, LiteLLM's proxy with prisma and its
generated client, and in ``DATABASE_URL`` an empty database on this machine; ``DISABLE_SCHEMA_UPDATE=true`` where psql has applied the
migrations of litellm_proxy_extras. Recorded so in November 2026 with LiteLLM 1.108.7 and PostgreSQL 15. Prisma's query engine was the one
that npm ships for WebAssembly (@prisma/query-engine-wasm, the commit that prisma 0.15 asks for), behind the binary's HTTP protocol.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.gateway import Gateway, gateway
from support.scenario import CALLS, Call, configuration, send
from support.upstream import upstream

DATA = Path(__file__).parents[1] / "data"
DUMP, COPIED, SUMS = (DATA / f"litellm_spend_logs{kind}" for kind in (".csv", ".copy.ndjson", ".sums.ndjson"))
QUOTED = 'a "quoted" word,\na second line; \\ and ünïcode 日本'
LONG = "[reasoning=2] " + "word " * 80
_TIMED_OUT = {"status": "transport", "error_class": "Timeout", "attempts": 2, "output_tokens": 0}
#: (key's alias, what is sent with it); None is a key that the gateway does not know.
BY_KEY: tuple[tuple[str | None, tuple[Call, ...]], ...] = (
    (
        "team-key",
        (
            Call("with the key of a team", {"app": "Search team"}),
            Call(QUOTED, {"app": "billing", "user": "u-9"}, extra={"metadata": {"tags": ["team:billing"]}}, options={"user": "u-9"}),
        ),
    ),
    ("tagged-key", (Call("with a key that has tags", {"app": "mail"}),)),
    (
        "plain-key",
        (
            Call(LONG, {"app": "plain-key", "text_state": "cut", "reasoning_tokens": 2}),
            Call(
                "[fail_first=1] falls back, then well",
                {"app": "plain-key", "attempts": 2, "model": "gpt-5", "model_requested": "shaky"},
                model="shaky",
            ),
            Call("[slow=3] given up twice", {**_TIMED_OUT, "app": "plain-key"}, extra={"timeout": 1, "num_retries": 1}),
        ),
    ),
    (None, (Call("with a key that nobody has", {"status": "validation"}),)),
)
#: What the database says otherwise than a payload: all retries of a failed request, and no name of a model that it does not know.
_OTHERWISE: Mapping[str, Mapping[str, Any]] = {"[status=500] never well": {"attempts": 3}, "no such model": {"model": "unknown-model"}}
#: The calls whose rows have their whole text, as the database says them.
SENT = tuple(
    Call(c.text, {**c.expect, **_OTHERWISE.get(c.text, {})}, c.model, c.extra, c.headers, c.options)
    for c in (*CALLS, *(c for alias, calls in BY_KEY if alias for c in calls if c.text != LONG))
)
#: One row a call, also of the cut text and the unknown key, and one for the attempt before the last of the call that was given up.
LOGGED = len(SENT) + 3
_KEPT = (
    *("usage_object", "spend_logs_metadata", "routing_decision", "attempted_retries", "attempted_fallbacks"),
    *("original_model_group", "internal_call_origin", "billed_retry_attempt", "user_api_key_alias", "user_api_key_team_alias", "status"),
)
#: Takes out what is long, random or of this machine.
_SCRUB = f"""
create or replace function kept(jsonb, text[]) returns jsonb return
  (select coalesce(jsonb_object_agg(key, value), '{{}}') from jsonb_each(nullif($1, 'null')) where key = any($2));
update "LiteLLM_SpendLogs" set api_base = '', model_id = '', requester_ip_address = null, cache_key = left(cache_key, 9),
  api_key = left(api_key, 7), team_id = left(team_id, 8), response = response - '{{usage,created,object}}'::text[],
  metadata = jsonb_strip_nulls(kept(metadata, '{{{",".join(_KEPT)}}}')
    || jsonb_build_object('error_information', kept(metadata -> 'error_information', '{{error_class,error_code}}'))),
  proxy_server_request = case when proxy_server_request ? 'metadata' then proxy_server_request
    || jsonb_build_object('metadata', kept(proxy_server_request -> 'metadata', '{{tags,prompt_id,prompt_version}}')) else '{{}}' end;
"""
_TABLE = '(select * from "LiteLLM_SpendLogs" order by "startTime", request_id)'
_SUM = """
select row_to_json(s) from (
  select model, count(*) as rows, count(*) filter (where status = 'failure') as failed, sum(spend::numeric) as spend,
    sum(prompt_tokens) filter (where status = 'success' or spend > 0) as prompt_tokens, sum(completion_tokens) as completion_tokens
  from "LiteLLM_SpendLogs" group by model order by model) s
"""


def _post(gate: Gateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {gate.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(gate.url.removesuffix("/v1") + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def _keys(gate: Gateway) -> dict[str | None, str]:
    """Make a team and keys; return the keys by alias."""
    team = _post(gate, "/team/new", {"team_alias": "Search team"})["team_id"]
    about: dict[str, dict[str, Any]] = {
        "team-key": {"team_id": team, "user_id": "svc-7"},
        "tagged-key": {"metadata": {"tags": ["app:mail"]}},
        "plain-key": {},
    }
    made: dict[str | None, str] = {
        alias: _post(gate, "/key/generate", {"key_alias": alias, **given})["key"] for alias, given in about.items()
    }
    return {**made, None: "sk-nobody-has-this-key"}


def _psql(database: str, *commands: str) -> str:
    given = [part for command in commands for part in ("-c", command)]
    done = subprocess.run(
        ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", database, *given], check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    """Record a real run."""
    database = os.environ["DATABASE_URL"]
    os.environ["MAX_STRING_LENGTH_PROMPT_IN_DB"] = "200"  # what is cut is short here, too
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream() as (url, _),
        gateway(Path(folder), configuration(url), database=database) as gate,
    ):
        keys = _keys(gate)
        send(gate)
        for alias, calls in BY_KEY:
            send(gate, calls, keys[alias])
        for _ in range(120):
            time.sleep(1)
            if int(_psql(database, 'select count(*) from "LiteLLM_SpendLogs"')) >= LOGGED:
                break
    SUMS.write_text(_psql(database, _SUM), "utf-8")
    _psql(database, _SCRUB, f"\\copy {_TABLE} to {DUMP} csv header")
    _psql(
        database,
        f"\\copy (select row_to_json(t) from {_TABLE} t where position(chr(92) || chr(34) in row_to_json(t)::text) > 0) to {COPIED}",
    )


if __name__ == "__main__":
    main()
