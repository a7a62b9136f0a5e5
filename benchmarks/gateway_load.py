"""What the hook costs a LiteLLM proxy under load, and whether any client ever sees an error of ours, whatever breaks.

In: how many requests go through the hook in this process, and how many over HTTP at concurrency 32 through a real proxy before a local
upstream. Out: errors of ours, latency and memory of both; latency and memory of the same proxy without the hook; and what clients saw
while things broke: upstream killed, garbage, time-outs, 429 storms, broken connections, bundle or rollout deleted or half-written, a
state folder that cannot be written, a full disk, a clock that jumps. Run: ``python -m benchmarks.gateway_load --json``; it ends
with 1 unless every count is as planned and memory is flat.

Requests are the sample's held-out chats, decided by the router trained on it; every app is active with 5 % held out and exploration,
and every answer is counted for a guardrail that never alarms. What is planned follows from ``Router.decide`` and ``assign`` alone. Added
latency is of single requests that alternate between the two proxies; at concurrency 32 both queue on the same cores, so that times
there say how many requests a second go through. Memory is resident, after a tenth of the requests and after all; what a proxy grows by
is held against the one without the hook.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.gateway_faults import answers_in, awaited, faults, full_disk, noted_in
from benchmarks.gateway_stage import OFFLINE, Proxy, Reply, Upstream, load, proxies, rss_mb
from benchmarks.gateway_traffic import Ask, Traffic, exported, sample_traffic
from planner.router.live import Live

CONCURRENCY, BLOCK, PAIRS = 32, 500, 400
#: Events that are errors of our code while it handles a request.
OURS = ("hook", "success event", "failure event")
#: [MB] by which the hook may let a process grow: what the guard keeps to hear feedback, and nothing more.
FLAT_MB = 64.0


def in_process(traffic: Traffic, folder: Path, requests: int) -> dict[str, Any]:
    """Send ``requests`` through the hook in this process, an answer or a failure after each; the last twentieth on a full disk."""
    os.environ.update(OFFLINE)  # LiteLLM looks at these when it is imported
    from litellm.proxy._types import UserAPIKeyAuth

    from planner.router.litellm_hook import PlannerHook

    live, caller = Live.started(folder), UserAPIKeyAuth(api_key="k")
    hook, seconds, memory = PlannerHook(live), np.zeros(requests), []
    wrong = raised = 0
    last = requests - requests // 20

    async def run() -> None:
        nonlocal wrong, raised
        for i in tqdm(range(last), desc="in process", leave=False, disable=not sys.stderr.isatty()):
            await one(i)
        with full_disk():
            for i in range(last, requests):
                await one(i)

    async def one(i: int) -> None:
        nonlocal wrong, raised
        ask = traffic.ask(i)
        data = _data(ask)
        start = time.perf_counter()
        try:
            data = await hook.async_pre_call_hook(caller, None, data, "acompletion")
            seconds[i] = time.perf_counter() - start
            wrong += data["model"] != traffic.planned(ask) if i % 50 == 0 else 0
            await _ended(hook, data, failed=i % 33 == 0)
        except Exception:
            raised += 1
        if i % max(requests // 50, 1) == 0:
            memory.append(rss_mb(os.getpid()))

    asyncio.run(run())
    memory.append(rss_mb(os.getpid()))
    counted = dict(live.events.totals)
    live.stop()
    ours = sum(n for (event, _), n in counted.items() if event in OURS)
    return {
        "requests": requests,
        "raised": raised,
        "errors_of_ours": ours,
        "sent_elsewhere_of_every_50th": wrong,
        "p50_us": _us(seconds, 50),
        "p99_us": _us(seconds, 99),
        "left_open": len(hook._open),
        **_growth(memory),
        "on_a_full_disk": requests - last,
        "events": {f"{event}: {kind}": n for (event, kind), n in counted.items()},
    }


def _data(ask: Ask) -> dict[str, Any]:
    metadata = {"tags": [f"app:{ask.app}"], "session_id": ask.session}
    return {"model": ask.model, "messages": ask.messages, "metadata": metadata, "litellm_call_id": f"call-{ask.session}", **ask.beside}


async def _ended(hook: Any, data: dict[str, Any], failed: bool) -> None:
    if failed:
        await hook.async_post_call_failure_hook(data, RuntimeError(), None)
        return
    logged = {"startTime": 1.0, "endTime": 2.0, "id": f"chatcmpl-{data['litellm_call_id']}", "litellm_call_id": data["litellm_call_id"]}
    params = {"litellm_call_id": data["litellm_call_id"], "proxy_server_request": {"body": data}}
    answer = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
    await hook.async_log_success_event({"litellm_params": params, "standard_logging_object": logged}, answer, None, None)


def over_http(traffic: Traffic, hooked: Proxy, plain: Proxy, folder: Path, requests: int) -> dict[str, Any]:
    """Send ``requests`` to both proxies, in alternating blocks, and pairs of single ones; ``folder`` is where the hook notes."""
    found: dict[str, list[Reply]] = {"hook": [], "plain": []}
    proxies = {"hook": hooked, "plain": plain}
    for one in proxies.values():
        load(one, [traffic.ask(-i - 1) for i in range(CONCURRENCY)], CONCURRENCY)
    seconds, memory = dict.fromkeys(proxies, 0.0), {name: [one.rss_mb] for name, one in proxies.items()}
    with tqdm(total=2 * requests, desc="over HTTP", leave=False, disable=not sys.stderr.isatty()) as bar:
        for start in range(0, requests, BLOCK):
            asks = [traffic.ask(i) for i in range(start, min(start + BLOCK, requests))]
            for name in ("hook", "plain") if start // BLOCK % 2 else ("plain", "hook"):
                began = time.perf_counter()
                found[name] += load(proxies[name], asks, CONCURRENCY, bar.update)
                seconds[name] += time.perf_counter() - began
                memory[name].append(proxies[name].rss_mb)
    asks = [traffic.ask(i) for i in range(requests)]
    elsewhere = sum(r.group != traffic.planned(a) for r, a in zip(found["hook"][::20], asks[::20], strict=True))
    sides = {name: _side(found[name], seconds[name], memory[name]) for name in proxies}
    singles = _singles(traffic, hooked, plain)
    sent = CONCURRENCY + requests + PAIRS
    answers, noted = awaited(lambda: answers_in(folder)["answers"], sent), noted_in(folder)
    return {
        "requests": requests,
        "concurrency": CONCURRENCY,
        "errors_of_ours": sum(noted[event] for event in OURS),
        "sent_elsewhere_of_every_20th": elsewhere,
        "answers_not_counted": sent - answers,
        "with_hook": sides["hook"],
        "without_hook": sides["plain"],
        "ratio": {name: round(sides["hook"][name] / sides["plain"][name], 3) for name in ("per_s", "p50_ms", "p99_ms")},
        "one_at_a_time": singles,
        "events": dict(noted),
    }


def _side(replies: Sequence[Reply], seconds: float, memory: Sequence[float]) -> dict[str, Any]:
    took = np.array([r.seconds for r in replies]) * 1e3
    return {
        "client_errors": sum(r.status != 200 for r in replies),
        "per_s": round(len(replies) / seconds, 1),
        "p50_ms": _at(took, 50),
        "p99_ms": _at(took, 99),
        **_growth(memory),
    }


def _singles(traffic: Traffic, hooked: Proxy, plain: Proxy) -> dict[str, Any]:
    """Return latencies of single requests [ms], and the median of their paired differences with its 95 % bootstrap interval."""
    pairs = []
    for i in range(PAIRS):
        order = (hooked, plain) if i % 2 else (plain, hooked)
        took = {p.port: load(p, [traffic.ask(10**6 + i)], 1)[0].seconds for p in order}
        pairs.append((took[hooked.port], took[plain.port]))
    both = np.array(pairs) * 1e3
    added, rng = both[:, 0] - both[:, 1], np.random.default_rng(0)
    means = np.median(rng.choice(added, (2000, len(added))), 1)
    sides = {name: {f"p{q}_ms": _at(both[:, i], q) for q in (50, 99)} for i, name in enumerate(("with_hook", "without_hook"))}
    ratio = {q: round(sides["with_hook"][q] / sides["without_hook"][q], 3) for q in ("p50_ms", "p99_ms")}
    interval = [_at(means, 2.5), _at(means, 97.5)]
    return {"pairs": PAIRS, **sides, "ratio": ratio, "added_ms": round(float(np.median(added)), 2), "added_ms_interval": interval}


def _growth(memory: Sequence[float]) -> dict[str, Any]:
    """Return resident memory [MB] after a tenth of the requests and after all, given as many samples as there were, evenly spaced."""
    first, last = memory[len(memory) // 10], memory[-1]
    return {"rss_mb_at_10_percent": round(first, 1), "rss_mb_at_100_percent": round(last, 1), "rss_growth_mb": round(last - first, 1)}


def _at(values: NDArray[np.float64], q: float) -> float:
    return round(float(np.percentile(values, q)), 2)


def _us(seconds: NDArray[np.float64], q: float) -> float:
    return round(float(np.percentile(seconds[seconds > 0], q)) * 1e6, 1)


def sound(result: dict[str, Any]) -> bool:
    """Say whether every count is as expected and the hook keeps nothing of what it handled."""
    here, http = result["in_process"], result["http"]
    grown = http["with_hook"]["rss_growth_mb"] - http["without_hook"]["rss_growth_mb"]
    clean = here["raised"] == here["errors_of_ours"] == here["sent_elsewhere_of_every_50th"] == here["left_open"] == 0
    clean &= http["errors_of_ours"] == http["sent_elsewhere_of_every_20th"] == http["answers_not_counted"] == 0
    clean &= http["with_hook"]["client_errors"] == 0
    clean &= max(here["rss_growth_mb"], grown) <= FLAT_MB
    return bool(clean and all(row["expected"] == row["counted"] for row in result["faults"]))


def measure(traffic: Traffic, requests: int, http: int) -> dict[str, Any]:
    """Return all numbers."""
    with TemporaryDirectory() as folder:
        home, models, reference = Path(folder), traffic.router.candidates, traffic.router.reference
        result: dict[str, Any] = {"in_process": in_process(traffic, exported(traffic, home / "in_process"), requests)}
        upstream = Upstream()
        try:
            production = exported(traffic, home / "production")
            with proxies(home, production, models, reference, upstream) as (hooked, plain):
                result["http"] = over_http(traffic, hooked, plain, production, http)
                result["faults"] = faults(traffic, hooked, production, upstream)
        finally:
            upstream.kill()
    return {**result, "as_planned": sound(result)}


def main() -> None:
    """Print the measurement, as JSON with ``--json``; leave with 1 where a count is not as planned."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000, help="through the hook in this process")
    parser.add_argument("--http", type=int, default=10_000, help="over HTTP, with the hook and without")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(sample_traffic(), options.requests, options.http)
    if options.json:
        print(json.dumps(result))
    else:
        for name in ("in_process", "http"):
            print("\n".join([f"{name}:", *(f"  {key:>34}: {value}" for key, value in result[name].items())]))
        print("faults:", *(f"  {row}" for row in result["faults"]), f"as planned: {result['as_planned']}", sep="\n")
    raise SystemExit(0 if result["as_planned"] else 1)


if __name__ == "__main__":
    main()
