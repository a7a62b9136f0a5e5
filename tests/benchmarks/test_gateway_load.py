"""The load test, small: through the hook in this process, then through a real proxy while something breaks around it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.steered import BIG, LONG, MINI, NANO, SHORT, TINY, router

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # LiteLLM's own
    with pytest.MonkeyPatch.context() as _offline:
        for _name in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
            _offline.setenv(_name, "True")
        from planner.router import litellm_hook  # noqa: F401  # imported late by the benchmark, where warnings are errors

from benchmarks.gateway_faults import Breaking, Fate, Fault, failing, full_disk, held, moved
from benchmarks.gateway_load import in_process, over_http, sound
from benchmarks.gateway_stage import Upstream, proxies
from benchmarks.gateway_traffic import Traffic, exported, traffic_of

MODELS = (BIG, MINI, NANO)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    """Return requests of which a third goes to each of three models."""
    messages = [[{"role": "user", "content": text}] for text in (TINY, SHORT, LONG)]
    return traffic_of(router(), messages, [{"app": "chat", "max_tokens": 9}] * 3)


def test_the_hook_in_this_process(traffic: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand requests, the last fifty on a full disk: none raises or goes elsewhere, none is left open, memory is flat."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = in_process(traffic, exported(traffic, tmp_path / "production"), 1000)
    assert (found["requests"], found["on_a_full_disk"]) == (1000, 50)
    assert found["raised"] == found["errors_of_ours"] == found["sent_elsewhere_of_every_50th"] == found["left_open"] == 0
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert found["rss_mb_at_100_percent"] - found["rss_mb_at_10_percent"] < 16


def test_a_real_proxy_under_load_and_while_something_breaks(traffic: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a proxy without the hook, then under failing models, a full disk, no bundle at another time: all counts are as planned."""
    monkeypatch.setattr("benchmarks.gateway_load.PAIRS", 10)
    folder, upstream = exported(traffic, tmp_path / "production"), Upstream()
    try:
        with proxies(tmp_path, folder, MODELS, BIG, upstream) as (hooked, plain):
            http = over_http(traffic, hooked, plain, folder, 100)
            breaking = Breaking(traffic, hooked, folder, requests=24)

            @contextmanager
            def gone() -> Iterator[None]:
                hooked.jump_clock()
                with moved(folder / "bundle", folder / "away"):
                    yield

            breaking.under(Fault("failing", failing(upstream, {MINI: "429", NANO: "garbage"}), lambda m: Fate(200, BIG, int(m != BIG))))
            breaking.under(Fault("disk full", held(full_disk(hooked.pid)), lambda m: Fate(200, m), ("counts not written", "say")))
            breaking.under(Fault("no bundle, another time", gone(), lambda m: Fate(200, m), ("bundle refused",)))
    finally:
        upstream.kill()
    assert (http["requests"], http["concurrency"]) == (100, 32)
    assert http["errors_of_ours"] == http["sent_elsewhere_of_every_20th"] == http["answers_not_counted"] == 0
    assert http["with_hook"]["client_errors"] == http["without_hook"]["client_errors"] == 0
    assert all(0 < http[side]["p50_ms"] <= http[side]["p99_ms"] for side in ("with_hook", "without_hook"))
    assert http["ratio"]["p50_ms"] == pytest.approx(http["with_hook"]["p50_ms"] / http["without_hook"]["p50_ms"], abs=1e-3)
    for row in breaking.rows:
        assert row["counted"] == row["expected"], row
    assert breaking.rows[0]["expected"]["fallbacks"] >= 12


def _result() -> dict[str, Any]:
    """Return a result in which all is as expected."""
    here = {"raised": 0, "errors_of_ours": 0, "sent_elsewhere_of_every_50th": 0, "left_open": 0, "rss_growth_mb": 1.0}
    http: dict[str, Any] = {"errors_of_ours": 0, "sent_elsewhere_of_every_20th": 0, "answers_not_counted": 0}
    http |= {"with_hook": {"client_errors": 0, "rss_growth_mb": 90.0}, "without_hook": {"client_errors": 0, "rss_growth_mb": 80.0}}
    counts = {"client_errors": 0, "fallbacks": 3, "noted": []}
    return {"in_process": here, "http": http, "faults": [{"expected": counts, "counted": copy.deepcopy(counts)} for _ in range(2)]}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("in_process", "raised"), 1),
        (("in_process", "left_open"), 1),
        (("in_process", "rss_growth_mb"), 65.0),
        (("http", "errors_of_ours"), 1),
        (("http", "answers_not_counted"), 1),
        (("http", "with_hook", "client_errors"), 1),
        (("http", "with_hook", "rss_growth_mb"), 145.0),
        (("faults", 1, "counted", "fallbacks"), 2),
        (("faults", 1, "counted", "noted"), ["hook"]),
    ],
)
def test_one_count_that_is_not_as_planned_is_seen(where: tuple[Any, ...], value: Any) -> None:
    """A single error, an answer that was lost, memory that grows or a fault that ends otherwise, and the whole is not as planned."""
    result = _result()
    assert sound(result)
    place: Any = result
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    assert not sound(result)
