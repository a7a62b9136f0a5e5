"""Levers are checked values: what cannot be is refused by the field's name, and what they do stands in one clause."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from planner.policies import Batch, Block, Cascade, Fallback, Hedge, Intents, LeverError, Plan, RateLimit, Retry, Stream, Timeout
from planner.policies.base import FAILURES, PHASES, RowLever
from planner.policies.plan_file import KINDS, build
from planner.schema import TRAFFIC
from planner.traffic.rows import Coded

#: One sound lever of each kind, as plain values without ``kind``.
SOUND: dict[str, dict[str, Any]] = {
    "batch": {"apps": ["nightly"], "window_minutes": 60},
    "cascade": {"first": "a", "then": "b", "validators": ["json_schema"]},
    "compress": {"method": "lossless"},
    "exact_cache": {},
    "fallback": {"models": ["a", "b"]},
    "hedge": {"after_ms": 2000, "model": "a", "correlation": 0.5},
    "micro_batch": {"apps": ["tags"], "size": 8, "wait_ms": 500},
    "prompt_cache": {"lifetime": "1h", "mark": "system"},
    "rate_limit": {"limits": {"a": {"rpm": 500, "input_tpm": 30000}}},
    "retry": {"retries": {"transport": 2, "rate_limit": 4}, "budget": 0.1, "deadline_ms": 60000},
    "semantic_cache": {"threshold": 0.9},
    "stream": {"apps": ["chat"]},
    "timeout": {"ms": 20000},
}

WRONG: list[tuple[str, str, Any, str]] = [
    ("batch", "apps", [], r"batch apps is \[\]; expected a list of apps"),
    ("batch", "window_minutes", 0, "expected minutes > 0"),
    ("batch", "window_minutes", 1441, "expected at most deadline_hours, 1,440 minutes"),
    ("batch", "tier", "flexx", "Did you mean 'flex'"),
    ("batch", "max_requests", 0.5, "expected a whole number ≥ 1"),
    ("cascade", "then", "a", "another model than first"),
    ("cascade", "validators", ["json_shema"], "Did you mean 'json_schema'"),
    ("cascade", "validators", [], "or a verifier"),
    ("fallback", "models", "a", "fallback models is 'a'; expected a list of models"),
    ("fallback", "models", ["a", "a"], "Name 'a' once"),
    ("fallback", "kinds", ["rate_limits"], "Did you mean 'rate_limit'"),
    ("hedge", "after_ms", "soon", "hedge after_ms is 'soon'; expected milliseconds ≥ 1"),
    ("hedge", "after_ms", True, "hedge after_ms is True"),
    ("hedge", "after_ms", math.nan, "hedge after_ms is nan"),
    ("hedge", "after_ms", 10**400, "expected milliseconds ≥ 1"),
    ("hedge", "correlation", 1.1, "a correlation from 0 to 1"),
    ("hedge", "model", "", "expected a model"),
    ("micro_batch", "size", 1, "a whole number from 2 to 100"),
    ("micro_batch", "wait_ms", 0, "milliseconds ≥ 1"),
    ("prompt_cache", "lifetime", "5 m", "one of 5m, 1h"),
    ("prompt_cache", "mark", "all", "one of shared, system"),
    ("rate_limit", "limits", {}, "a model or provider with rpm, input_tpm, output_tpm"),
    ("rate_limit", "limits", {"a": {"tpm": 3}}, "rate_limit limits a names 'tpm'"),
    ("rate_limit", "limits", {"a": [None, None, None]}, "numbers ≥ 1 for some of"),
    ("rate_limit", "limits", {"a": [1, 2]}, "rpm, input_tpm, output_tpm of each"),
    ("rate_limit", "limits", {7: [1, 2, 3]}, "names of models or providers"),
    ("retry", "retries", {}, "a number for some of transport"),
    ("retry", "retries", {"transport": 1.5}, "retry retries transport is 1.5; expected a whole number from 0 to 100"),
    ("retry", "retries", {"timeout": 1}, "retry retries names 'timeout'"),
    ("retry", "factor", 0.5, "a factor ≥ 1"),
    ("retry", "most_ms", 100, "milliseconds ≥ base_ms, 500"),
    ("retry", "jitter", 2, "a share from 0 to 1"),
    ("retry", "budget", -1, "retries per request ≥ 0"),
    ("retry", "retry_after", "yes", "true or false"),
    ("stream", "apps", None, "a list of apps"),
    ("timeout", "ms", 0, "timeout ms is 0; expected milliseconds ≥ 1"),
    ("timeout", "apps", "chat", "timeout apps is 'chat'; expected a list of apps .leave it out for all"),
]


def made(kind: str, **changes: Any) -> Any:
    """Build a sound lever of ``kind`` with ``changes``."""
    return build(kind, {**SOUND[kind], **changes}, {}, Path())


def block(app: list[str], arrival_s: list[float], model: list[str], tokens: int = 100) -> Block:
    """Return a block of users' requests."""
    apps, models = sorted(set(app)), sorted(set(model))
    n = len(app)

    def take(at: Any) -> Any:
        kept = {k: v[at] for k, v in vars(rows).items() if isinstance(v, np.ndarray)}
        coded = {k: Coded(v.codes[at], v.values) for k, v in vars(rows).items() if isinstance(v, Coded)}
        return SimpleNamespace(**kept, **coded)

    rows: Any = SimpleNamespace(
        app=Coded(np.array([apps.index(a) for a in app], np.int32), tuple(apps)),
        model=Coded(np.array([models.index(m) for m in model], np.int32), tuple(models)),
        timestamp=np.datetime64("2026-11-01T00:00:00", "us") + (np.array(arrival_s) * 1e6).astype("timedelta64[us]"),
        tokens=np.tile(np.array([tokens, 0, 0, 0, 7, 0], np.int64), (n, 1)),
        key=np.arange(n, dtype=np.uint64),
        steerable=np.ones(n, bool),
    )
    rows.take = take
    return Block(rows, "2026-11-01", lambda unit: iter(()))


@pytest.mark.parametrize(("kind", "field", "value", "said"), WRONG)
def test_a_wrong_field_is_named(kind: str, field: str, value: Any, said: str) -> None:
    """Each wrong value is refused in one sentence that names lever and field, and leads to the field."""
    with pytest.raises(LeverError, match=said) as error:
        made(kind, **{field: value})
    assert error.value.path[0] == field
    assert str(error.value).startswith(f"Got {kind} ")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_a_frozen_value(kind: str) -> None:
    """Each lever cannot be changed, gives itself back from its payload, and says in words what it is."""
    lever = made(kind)
    with pytest.raises(FrozenInstanceError):
        setattr(lever, fields(lever)[0].name, None)
    payload = lever.payload()
    again = build(payload.pop("kind"), payload, {}, Path())
    assert again == lever
    assert lever.words()
    assert "\n" not in lever.words()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_lever_declares_exists(kind: str) -> None:
    """Phase, columns read and intents written are names the house knows; a lever of the row phase, and no other, can be applied."""
    lever = made(kind)
    assert lever.key == kind
    assert lever.phase in PHASES
    assert {name for need in lever.needs for name in need.split("|")} <= set(TRAFFIC.names)
    assert set(lever.writes) <= {f.name for f in fields(Intents)}
    assert isinstance(lever, RowLever) == (lever.phase == "row")


def test_a_number_may_be_written_either_way() -> None:
    """2000 and 2000.0 milliseconds are the same plan."""
    assert Plan((Hedge(2000),)).hash == Plan((Hedge(2000.0),)).hash


def test_blind_retry_is_alike_for_every_kind() -> None:
    """The baseline tries every kind of failure as often as every other, at once, without heed of Retry-After or keys."""
    blind = Retry.blind(3)
    assert blind.retries == dict.fromkeys(FAILURES, 3)
    assert (blind.base_ms, blind.most_ms, blind.jitter, blind.retry_after, blind.idempotency_keys) == (0, 0, 0, False, False)


def test_limits_without_a_number_are_open() -> None:
    """A limit that is left out is infinite for the event phase and null in a file."""
    lever = RateLimit({"a": (10, None, 5)})
    assert lever.limits == {"a": (10.0, math.inf, 5.0)}
    assert lever.payload()["limits"] == {"a": {"rpm": 10.0, "input_tpm": None, "output_tpm": 5.0}}


def test_levers_name_the_models_they_use() -> None:
    """Every model in a lever's settings can be checked against the price book."""
    assert Cascade("a", "b", verifier="c").uses == ("a", "b", "c")
    assert (Hedge(1).uses, Hedge(1, "a").uses, Fallback(("a", "b")).uses) == ((), ("a",), ("a", "b"))
    assert RateLimit({"openai": (1, 1, 1)}).uses == ("openai",)
    assert Timeout(1).uses == ()


def test_a_cascade_sends_its_apps_to_the_first_model() -> None:
    """Requests of other apps keep what was intended for them before."""
    before = Intents.as_logged(3)
    after = Cascade("small", "large", ("grounding",), apps=("chat",)).apply(block(["chat", "x", "chat"], [0, 1, 2], ["m"] * 3), before)
    assert after.models == ("small",)
    assert after.model.tolist() == [0, -1, 0]
    both = Cascade("tiny", "large", ("grounding",), apps=("x",)).apply(block(["chat", "x", "chat"], [0, 1, 2], ["m"] * 3), after)
    assert [both.models[c] for c in both.model] == ["small", "tiny", "small"]


def test_a_batch_gathers_per_app_and_intended_model() -> None:
    """Windows are per app and model sent to; only the batch's apps get the tier and wait."""
    read = block(["n", "n", "chat", "n", "n"], [0, 30, 40, 50, 90], ["a", "b", "a", "a", "a"])
    lever = Batch(("n",), window_minutes=1)
    as_logged = lever.apply(read, Intents.as_logged(5))
    assert (as_logged.tier.tolist(), as_logged.tiers) == ([0, 0, -1, 0, 0], ("batch",))
    assert as_logged.submit_ms.tolist() == [60_000, 60_000, 0, 10_000, 60_000]
    moved = Cascade("c", "d", ("grounding",), apps=("n",)).apply(read, Intents.as_logged(5))
    assert lever.apply(read, moved).submit_ms.tolist() == [60_000, 30_000, 0, 10_000, 60_000]


def test_a_batch_counts_input_bytes() -> None:
    """A batch of 400 bytes holds one request of 100 input tokens, at four bytes each; output does not count."""
    lever = Batch(("n",), window_minutes=1, max_bytes=400)
    assert lever.apply(block(["n"] * 3, [0, 1, 2], ["a"] * 3), Intents.as_logged(3)).submit_ms.tolist() == [0, 0, 0]


def test_a_batch_without_requests_changes_nothing() -> None:
    """An app that has none of the rows leaves intents as they were."""
    intents = Batch(("other",), window_minutes=1).apply(block(["n"], [0], ["a"]), Intents.as_logged(1))
    assert (intents.tier.tolist(), intents.submit_ms.tolist()) == ([-1], [0.0])


def test_flex_is_sent_at_once() -> None:
    """The flex tier takes requests singly: with no window nothing waits."""
    intents = Batch(("n",), 0, tier="flex").apply(block(["n", "n"], [0, 5], ["a", "a"]), Intents.as_logged(2))
    assert (intents.tiers, intents.submit_ms.tolist()) == (("flex",), [0.0, 0.0])


def test_a_stream_is_asked_for_where_it_is_said() -> None:
    """Requests of other apps stream as logged; answers of a batch come in a file, those of the flex tier as they did."""
    read, same = block(["chat", "n"], [0, 1], ["m", "m"]), Intents.as_logged(2)
    assert Stream(("chat",)).apply(read, same).stream.tolist() == [1, -1]
    assert Batch(("n",), 1).apply(read, same).stream.tolist() == [-1, 0]
    assert Batch(("n",), 1, tier="flex").apply(read, same).stream.tolist() == [-1, -1]
