"""The loop closed in rehearsal: what the planner simulated is what a real gateway does, request for request and cent for cent.

In: how many requests of the SYNTHETIC sample. Out: ``decisions_equal``: every model that the gateway sent a request to is the planned
one; ``counts_equal``: so are the calls, retries and fallbacks of every request; ``max_cost_diff_usd``: the largest difference of a
request's cost between simulation, the upstream's invoice, the gateway's own record, and that record read and priced by us (a gateway
records no cost of a refused call, although its input may be billed: ``refused_billed`` such requests are compared with the invoice
alone); ``mixed_kinds``: requests left out because their calls fail in two ways, since LiteLLM takes the number of retries from the first
failure and the plan counts each kind; ``coverage``: how often the bill of 200 generated months lies in its 95 % prediction interval, and
``gap``: what the difference is made of (``closed_loop_predictive``). Run: ``python -m benchmarks.closed_loop --json``.

A plan of routing, retries and a fallback is simulated over the sample's log and exported for LiteLLM. A real proxy then runs on
the exported folder before a local upstream that answers every call as it ended in the simulation: the same outcomes on both sides, so
that decisions, retries, fallbacks, tokens and money can be compared exactly. This proves plumbing and accounting, not anybody's
traffic: that is the back-test before and the holdout after.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from openai import APIStatusError, OpenAI
from tqdm.auto import tqdm

import planner
from benchmarks.closed_loop_predictive import predictive
from benchmarks.closed_loop_upstream import Outcome, Proxy, Script, proxy, upstream
from planner.bundle import export
from planner.bundle.gateway import GatewayParts, write_gateway
from planner.bundle.gateway_log import GatewayLog, gateway_log
from planner.policies import Fallback, Plan, Retry, Route
from planner.prices import PriceBook
from planner.router import Router
from planner.router import rollout as rollouts
from planner.schema import PURPOSES, STATUSES, TOKEN_BUCKETS
from planner.simulation import World
from planner.simulation.accounting import price_calls
from planner.training import train

_PUSD = 10**12
#: Pauses between retries, short enough for a rehearsal [ms].
_PAUSE_MS = 10.0
_COLUMNS = ("request_id", "app", "messages", "model", "model_requested", "has_tools", "response_format", "max_tokens", "text_state")


@dataclass(frozen=True)
class Rehearsal:
    """The simulated requests that are rehearsed: what is sent, and what the simulation says comes of it.

    ``requests`` has a row each: ``body``, ``app``, ``sent`` (model), ``ended``, ``calls``, ``retries``,
    ``fallbacks``, ``cost_pusd``; ``script`` what the upstream answers; ``mixed_kinds`` requests of the log could not be chosen.
    """

    requests: pd.DataFrame
    script: Mapping[tuple[str, str], list[Outcome]]
    mixed_kinds: int


def plan_of(router: Router) -> Plan:
    """Return the plan: route, retry what may pass, then ask the reference."""
    retry = Retry({"transport": 2, "rate_limit": 3}, base_ms=_PAUSE_MS, most_ms=_PAUSE_MS)
    return Plan((Route(router), retry, Fallback((router.reference,), ("transport", "rate_limit"))), "rehearsal")


def rehearsed(world: World, plan: Plan, log: GatewayLog, n: int, seed: int) -> Rehearsal:
    """Simulate ``plan`` and choose ``n`` requests, those with a failed call first among half of them."""
    found, frame = world.replayed(plan), world.traffic.frame(*_COLUMNS)
    calls = replace(found.calls, row=found.at[found.calls.row])
    priced = price_calls(calls, world.rows, world.book, world.at)
    table = pd.DataFrame(
        {
            "row": calls.row,
            "model": calls.model.decode(),
            "purpose": np.array(PURPOSES, object)[calls.purpose],
            "ended": np.array(STATUSES, object)[calls.outcome],
            "cost_pusd": priced.cost_pusd,
            "start_ms": calls.start_ms,
            "attempt": calls.attempt,
        }
    )
    table = table.join(pd.DataFrame(calls.tokens).add_prefix("t")).sort_values(["row", "start_ms", "attempt"], kind="stable")
    by = table.groupby("row")
    whole = by.agg(
        sent=("model", "first"), last=("model", "last"), ended=("ended", "last"), calls=("model", "size"), cost_pusd=("cost_pusd", "sum")
    )
    whole["retries"] = by["purpose"].agg(lambda p: (p == "retry").sum())
    whole["fallbacks"] = by["purpose"].agg(lambda p: (p == "fallback").sum())
    home = frame["model_requested"].map(log.behind)
    fit = (frame["text_state"] == "full") & (frame["model"] == home) & frame.index.isin(whole.index)
    fit &= ~frame.index.isin(table.loc[table["ended"] == "cancelled", "row"])
    kinds = table[table["ended"] != "ok"].groupby(["row", "model"])["ended"].nunique()
    mixed = frame.index.isin(kinds[kinds > 1].index.get_level_values("row"))
    left_out = int((fit & mixed).sum())
    fit &= ~mixed
    troubled = frame.index.isin(table.loc[table["ended"] != "ok", "row"])
    rng = np.random.default_rng(seed)
    hard = np.flatnonzero(fit & troubled)
    hard = rng.permutation(hard)[: n // 2]
    rest = rng.permutation(np.flatnonzero(fit & ~troubled))[: n - len(hard)]
    chosen = np.sort(np.concatenate([hard, rest]))
    requests = frame.loc[chosen].join(whole)
    bodies: Any = [_body(row) for row in requests.to_dict("records")]
    requests = requests.assign(body=bodies)
    script: dict[tuple[str, str], list[Outcome]] = {}
    for call in table[table["row"].isin(chosen)].itertuples():
        tokens = tuple(int(getattr(call, f"t{i}")) for i in range(6))
        script.setdefault((str(requests.at[call.row, "request_id"]), str(call.model)), []).append((str(call.ended), tokens))
    return Rehearsal(requests, script, left_out)


def _body(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the request as a client sends it."""
    body: dict[str, Any] = {"model": row["model_requested"], "messages": json.loads(row["messages"]), "user": row["request_id"]}
    if row["has_tools"]:
        body["tools"] = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]
    if row["response_format"] == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif row["response_format"] == "json_schema":
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {}}}}
    if pd.notna(row["max_tokens"]) and row["max_tokens"] > 0:
        body["max_tokens"] = int(row["max_tokens"])
    return body


def send(rehearsal: Rehearsal, running: Proxy, concurrency: int, quiet: bool) -> None:
    """Send every request over HTTP; errors that a client sees are part of the plan."""
    client = OpenAI(base_url=running.url, api_key=running.key, max_retries=0, timeout=120)

    def one(row: Mapping[str, Any]) -> None:
        body = dict(row["body"])
        given = {"user": body.pop("user"), "metadata": {"tags": [f"app:{row['app']}"]}}
        try:
            client.chat.completions.create(**body, extra_body=given)
        except APIStatusError:
            return

    with ThreadPoolExecutor(concurrency) as pool:
        rows = rehearsal.requests.to_dict("records")
        list(tqdm(pool.map(one, rows), "over HTTP", len(rows), disable=quiet))


def prices_of(book: PriceBook, models: Sequence[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Return LiteLLM's price keys of each (model, provider) [USD per token], so that both sides keep the same price list."""
    names = {
        "input_tokens": "input_cost_per_token",
        "cache_read_tokens": "cache_read_input_token_cost",
        "cache_write_5m_tokens": "cache_creation_input_token_cost",
        "cache_write_1h_tokens": "cache_creation_input_token_cost_above_1hr",
        "output_tokens": "output_cost_per_token",
    }
    quoted = {model: book.quote(model, provider).usd_per_mtok for model, provider in models}
    return {model: {theirs: rates[ours] / 1e6 for ours, theirs in names.items() if ours in rates} for model, rates in quoted.items()}


def observed(running: Proxy, world: World) -> pd.DataFrame:
    """Read the gateway's records back as a user would, and price them; a row a request."""
    traffic = planner.read(running.records, out=running.records.with_name("read"), text=True)
    frame = traffic.frame(
        "user", "model", "status", "attempts", "action", "policy_version", "source_cost_usd", "provider", "tags", *TOKEN_BUCKETS
    )
    tokens = frame[list(TOKEN_BUCKETS)].to_numpy(np.int64)
    tokens = np.where((frame["status"] == "ok").to_numpy()[:, None], tokens, 0)
    priced = world.book.price(frame["provider"], frame["model"], "standard", tokens, world.book.date)
    return frame.assign(cost_pusd=priced.cost_pusd).set_index("user")


def invoice(script: Script, world: World, providers: Mapping[str, str]) -> pd.Series[int]:
    """Return what the upstream would bill for each request [pico-USD]."""
    request, model, tokens = zip(*script.metered, strict=True)
    priced = world.book.price([providers[m] for m in model], list(model), "standard", np.array(tokens, np.int64), world.book.date)
    return pd.Series(priced.cost_pusd).groupby(list(request)).sum()


def conditional(n: int, seed: int, concurrency: int, folder: Path, quiet: bool) -> dict[str, Any]:
    """Rehearse ``n`` requests; return what was equal."""
    traffic, labels = planner.load_sample()
    book = PriceBook.load()
    training = train(labels, traffic, book=book, seed=seed)
    world = World(traffic, planner.fit_outcomes(traffic, labels, training), book, book.date, seed=seed)
    router, log = training.router, gateway_log(traffic)
    plan = plan_of(router)
    rehearsal = rehearsed(world, plan, log, n, seed)
    export(router, folder / "bundle", training=training, plan=plan)
    write_gateway(folder, Router.load(folder), GatewayParts(plan, book, log))
    first = rollouts.read(folder / "rollout.json")
    everything = {app: replace(settings, mode="active", guardrails={}) for app, settings in first.apps.items()}
    rollouts.write(folder / "rollout.json", replace(first, holdout=0.0, apps=everything))
    served = dict(log.served)
    served |= {m: "openai" for m in router.candidates if m not in served and "gpt" in m} | {
        m: "anthropic" for m in router.candidates if "claude" in m
    }
    script = Script(rehearsal.script)
    pauses = {"INITIAL_RETRY_DELAY": "0.01", "MAX_RETRY_DELAY": "0.01", "JITTER": "0.01"}
    with upstream(script) as url, proxy(folder, url, prices_of(book, list(served.items())), pauses) as running:
        send(rehearsal, running, concurrency, quiet)
        running.settled(n)
        seen = observed(running, world)
    return compared(rehearsal, script, seen, invoice(script, world, served), router)


def compared(rehearsal: Rehearsal, script: Script, seen: pd.DataFrame, billed: pd.Series[int], router: Router) -> dict[str, Any]:
    """Compare what was simulated with what the gateway recorded, and what the upstream saw and billed."""
    both = rehearsal.requests.set_index("request_id").merge(seen, how="left", left_index=True, right_index=True, suffixes=("", "_seen"))
    planned = Counter({key: len(outcomes) for key, outcomes in rehearsal.script.items()})
    bodies = zip(both["body"], both["app"], strict=True)
    decided = np.array([router.decide(body["messages"], _metadata(body, app)).model for body, app in bodies], object)
    unrecorded = (both["ended"] != "ok") & (both["cost_pusd"] > 0)
    cost, recorded = both["cost_pusd"] / _PUSD, ~unrecorded
    differences = (
        billed.reindex(both.index, fill_value=0) / _PUSD - cost,
        (both["source_cost_usd"].fillna(0) - cost)[recorded],
        (both["cost_pusd_seen"].fillna(0) / _PUSD - cost)[recorded],
    )
    return {
        "requests": len(both),
        "recorded": len(seen),
        "decisions_equal": bool((both["action"] == both["sent"]).all() and (decided == both["sent"]).all()),
        "moved": int((both["sent"] != both["model"]).sum()),
        "counts_equal": bool(script.made == planned and not script.beyond and (both["ended"] == both["status"]).all()),
        **{name: int(both[name].sum()) for name in ("calls", "retries", "fallbacks")},
        "failed": int((both["ended"] != "ok").sum()),
        "mixed_kinds": rehearsal.mixed_kinds,
        "max_cost_diff_usd": float(max(d.abs().max() for d in differences)),
        "refused_billed": int(unrecorded.sum()),
    }


def _metadata(body: Mapping[str, Any], app: str) -> dict[str, Any]:
    return {"app": app, "model": body["model"], **{k: body[k] for k in ("tools", "response_format", "max_tokens") if k in body}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=200, help="generated months of the predictive part")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = conditional(options.requests, options.seed, options.concurrency, Path(name) / "production", options.json)
    found |= predictive(options.runs, options.seed)
    print(json.dumps(found, indent=1) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
