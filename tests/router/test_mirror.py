"""The mirror: never waited for, never above its budget, never acting; what it does not ask is counted with the reason."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.labels.journal import lines
from planner.router import AlwaysRule, Capability, Costs, Router
from planner.router.guard_files import locked
from planner.router.mirror import Mirror, Today
from planner.router.mirror_budget import Rates
from planner.router.mirror_request import LIMIT_TOKENS, Ask, ask_of
from planner.units import PUSD_PER_USD

RATES = Rates(1.0, 10.0)
BODY: Mapping[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": "What is 2 + 2?"}], "max_tokens": 100}
FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
ANSWER = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 20, "completion_tokens": 1}}
TODAY = Today("r-1", "gpt-5", {"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}]}, 900.0, 0.001, "openai", "s-1")


class Called:
    """Stands for LiteLLM's router: keeps what it was asked, answers or fails after a while."""

    def __init__(self, answer: Any = ANSWER, after_s: float = 0.0) -> None:
        self.answer, self.after_s, self.asked = answer, after_s, list[dict[str, Any]]()

    async def __call__(self, **asked: Any) -> Any:
        """Answer one call."""
        self.asked.append(asked)
        await asyncio.sleep(self.after_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class RefusedError(Exception):
    """An error with a status, as LiteLLM's are."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


def mirrored(mirror: Mirror, call: Any = None, body: Any = BODY, usd: float = 1.0, rates: Rates | None = RATES) -> list[dict[str, Any]]:
    """Let a mirror answer once; return the lines that it has kept so far."""
    asyncio.run(mirror.answer(call or Called(), body, "chat", "small", usd, rates, TODAY))
    return kept(mirror)


def kept(mirror: Mirror) -> list[dict[str, Any]]:
    """Return the lines of all days."""
    return [line or {} for file in sorted(mirror.folder.glob("answers-*.jsonl")) for _, _, line in lines(file)]


def spent(folder: Path) -> int:
    """Return what the day's file says [pUSD]."""
    return sum(sum(json.loads(file.read_bytes())["pusd"].values()) for file in folder.glob("????-??-??.json"))


def test_a_pair_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    """What was asked, both answers, price and time stand in one line of a file that nobody else may read, and the rest was given back."""
    mirror, call = Mirror(tmp_path / "state"), Called()
    (line,) = mirrored(mirror, call)
    assert (line["body"], line["today"]["body"], line["today"]["model"]) == (ANSWER, TODAY.answer, "gpt-5")
    assert line["request"] == {"app": "chat", "id": "r-1", "session": "s-1", "user": None, "messages": BODY["messages"], "max_tokens": 100}
    assert line["cost_pusd"] == spent(mirror.folder) == RATES.pusd(20, 1) == 30 * 10**6
    (file,) = mirror.folder.glob("answers-*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    assert {p.stat().st_mode & 0o777 for p in (mirror.folder, mirror.folder.parent)} == {0o700}
    asked = dict(call.asked[0])
    assert (asked["stream"], asked["num_retries"], asked["disable_fallbacks"]) == (False, 0, True)
    assert asked["metadata"] == {"tags": ["planner:labels"]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools that the provider runs"),
        ({"tools": [FUNCTION, {"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools that the provider runs"),
        ({"tools": [{"type": "mcp", "server_url": "https://x.example"}]}, "tools that the provider runs"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools that the provider runs"),
        ({"tools": [{"type": "computer_20250124", "name": "computer"}]}, "tools that the provider runs"),
        ({"tools": ["web_search"]}, "tools that the provider runs"),
        ({"web_search_options": {"search_context_size": "low"}}, "tools that the provider runs"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "input or output other than text",
        ),
        ({"modalities": ["text", "audio"]}, "input or output other than text"),
        ({"messages": [{"role": "user", "content": "redacted-by-litellm"}]}, "text that must not be logged"),
        ({"messages": []}, "no chat messages"),
        ({"messages": "Hi"}, "no chat messages"),
        ({"max_tokens": "many"}, "an output limit that is none"),
        ({"max_tokens": 0}, "an output limit that is none"),
    ],
)
def test_what_could_act_or_cannot_be_priced_is_not_asked(tmp_path: Path, body: dict[str, Any], why: str) -> None:
    """Such a request reaches no model, takes no money, and is counted with its reason."""
    mirror, call = Mirror(tmp_path), Called()
    assert mirrored(mirror, call, {**BODY, **body}) == []
    assert call.asked == []
    assert mirror.events.totals == {("not mirrored", why): 1}
    assert spent(mirror.folder) == 0


def test_only_what_shapes_the_answer_goes_along() -> None:
    """Functions, format and sampling go; whatever routes, streams, stores, bills, names a user or writes a cache does not."""
    content = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    beside = {
        "tools": [FUNCTION],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
        "temperature": 0.2,
        "max_tokens": None,
    }
    away = {
        "stream": True,
        "stream_options": {},
        "store": True,
        "user": "u",
        "metadata": {"a": 1},
        "n": 8,
        "fallbacks": ["x"],
        "api_base": "x",
    }
    found = ask_of({"model": "gpt-5", "messages": [{"role": "user", "content": content}], **beside, **away})
    assert isinstance(found, Ask)
    plain = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], **beside}
    assert found.fields == {**plain, "max_tokens": LIMIT_TOKENS}
    assert found.most_output_tokens == LIMIT_TOKENS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20
    )
)
def test_any_body_is_asked_or_has_a_reason(value: Any) -> None:
    """Whatever a client sent as messages, tools or limits, there is an answer, and no exception."""
    for body in ({"messages": value}, {**BODY, "tools": value}, {**BODY, "max_tokens": value}, {**BODY, "modalities": value}):
        assert isinstance(ask_of(body), (Ask, str))


@given(st.text(), st.integers(1, 10**6))
def test_no_tokenizer_counts_more_than_is_held(text: str, limit: int) -> None:
    """The tokens held for a text are never fewer than o200k's and cl100k's, whatever it is written in."""
    from planner.text.tokens import count_tokens

    found = ask_of({"messages": [{"role": "user", "content": text}], "max_completion_tokens": limit})
    assert isinstance(found, Ask)
    assert found.most_input_tokens > max(int(count_tokens([text], name)[0]) for name in ("o200k_base", "cl100k_base"))
    assert found.fields["max_completion_tokens"] == found.most_output_tokens == limit


def test_rates_are_dollars_or_none() -> None:
    """A bundle's price list comes first, then the book's rates in a router; a ranking and costs fitted without output rates are none."""
    one, able = np.array([1.0, 2.0]), (Capability(), Capability())

    def rates(model: str, basis: str, manifest: Mapping[str, Any]) -> Rates | None:
        costs = Costs(one, one * 8, one * 100, one * 0, basis)
        return Rates.of(model, manifest, Router(("large", "small"), "large", AlwaysRule.model(1, 0, 2), costs, able))

    usd = {"input_tokens": 3.0, "output_tokens": 15.0, "reasoning_tokens": 16.0, "cache_read_tokens": 0.3}
    long = {"input_tokens": 6.0, "output_tokens": 22.5}
    listed = {"small": {"usd_per_mtok": usd, "usd_per_request": 0.01, "above": [[200_000, long]]}}
    manifest = {"evaluation": {"prediction": {"prices": {"rates": listed}}}}
    for basis in ("stated per request; a ranking, not dollars", "fitted to the costs in the labels", "planner prices, rates of 2026-01-01"):
        assert rates("small", basis, manifest) == Rates(3.0, 16.0, 0.01, ((200_000, 6.0, 22.5),))
        found = rates("small", basis, {"evaluation": None})
        assert found == (Rates(2.0, 16.0) if basis.startswith("planner") else None)
        assert rates("other", basis, {}) is None
    assert Rates(0.2, 1.25).pusd(7, 2) == 3_900_000, "exact, though 0.2 is no binary fraction"
    assert Rates(1e-7, 0.0).pusd(1, 0) == 1
    assert Rates(0.0, 0.0, 1e-12).pusd(5, 5) == 1


def test_without_rates_or_another_model_nothing_is_asked(tmp_path: Path) -> None:
    """A model without rates in dollars could not be kept to a budget; the model that answered is no candidate beside itself."""
    mirror, call = Mirror(tmp_path), Called()
    assert mirrored(mirror, call, rates=None) == []
    asyncio.run(mirror.answer(call, BODY, "chat", TODAY.model, 1.0, RATES, TODAY))
    assert call.asked == []
    assert mirror.events.totals == {("not mirrored", "no rates in dollars"): 1, ("not mirrored", "the same model answered"): 1}


_SPEND = """
import sys
from pathlib import Path
import numpy as np
from planner.router.mirror_budget import Budget
folder, seed, most, usd = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
rng, budget = np.random.default_rng(seed), Budget(folder)
paid = (folder / f"paid-{seed}").open("a")
for _ in range(60):
    held = int(rng.integers(1, most))
    day = budget.take("chat", held, usd)
    if day is not None:
        used = int(rng.integers(0, held + 1))
        print(used, file=paid)
        if seed % 4 == 0 and rng.random() < 0.1:
            break  # it dies with what it holds
        budget.give(day, "chat", held - used)
"""


def test_eight_processes_never_spend_more_than_the_budget(tmp_path: Path) -> None:
    """What eight processes at once paid stays within the budget and within what the file says, and nearly all of it is used."""
    usd, most = 0.002, 100_000_000
    given = [str(tmp_path), "", str(most), str(usd)]
    runs = [subprocess.Popen([sys.executable, "-c", _SPEND, given[0], str(seed), *given[2:]]) for seed in range(8)]
    assert [run.wait(60) for run in runs] == [0] * 8
    paid = sum(int(line) for file in tmp_path.glob("paid-*") for line in file.read_text().splitlines())
    assert paid <= spent(tmp_path) <= usd * PUSD_PER_USD
    assert spent(tmp_path) > usd * PUSD_PER_USD - most


def test_the_budget_ends_the_asking_and_a_damaged_file_is_a_spent_one(tmp_path: Path) -> None:
    """With room for one call at its dearest a second is not asked, a new day has its own budget, and a broken sum is none at all."""
    mirror, call = Mirror(tmp_path), Called({"choices": []})
    ask = ask_of(BODY)
    assert isinstance(ask, Ask)
    usd = RATES.pusd(ask.most_input_tokens, ask.most_output_tokens) * 1.5 / PUSD_PER_USD
    mirrored(mirror, call, usd=usd)
    mirrored(mirror, call, usd=usd)
    assert len(call.asked) == 1
    assert (
        mirror.events.totals[
            "not mirrored", "the day's budget: with what is spent and reserved, too little is left for what the call may cost"
        ]
        == 1
    )
    (file,) = mirror.folder.glob("????-??-??.json")
    file.rename(mirror.folder / "2020-01-01.json")
    mirrored(mirror, call, usd=usd)
    assert len(call.asked) == 2
    for text in ("", "{", '{"pusd": {"chat": -1}}', '{"pusd": {"chat": "0"}}', '{"pusd": 1}'):
        file.write_text(text, "utf-8")
        mirrored(mirror, call, usd=1e6)
    assert len(call.asked) == 2
    assert sum(n for (event, _), n in mirror.events.totals.items() if event == "mirror failed") == 5


def test_a_hanging_candidate_delays_no_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While every background answer hangs, and the budget's lock is held by another, 200 users' answers come as fast as without."""
    monkeypatch.setattr("planner.router.mirror._TIMEOUT_S", 1.0)
    mirror, call = Mirror(tmp_path), Called(after_s=60.0)

    async def user() -> float:
        start = time.monotonic()
        await asyncio.sleep(0.001)
        return time.monotonic() - start

    async def run() -> tuple[list[float], float]:
        tasks, took = [], []
        with locked(mirror.folder / ".lock"):
            for _ in range(200):
                took.append(await user())
                tasks.append(asyncio.create_task(mirror.answer(call, BODY, "chat", "small", 1.0, RATES, TODAY)))
        start = time.monotonic()
        await asyncio.gather(*tasks)
        return took, time.monotonic() - start

    took, rest = asyncio.run(run())
    assert float(np.median(took)) < 0.05
    assert max(took) < 0.5
    assert rest < 10
    assert len(call.asked) == 4
    assert mirror.events.totals["not mirrored", "too many at once"] == 196
    assert {(line["status"], line["error_class"], line["evidence"]) for line in kept(mirror)} == {("transport", "TimeoutError", "assumed")}
    assert spent(mirror.folder) == sum(line["cost_pusd"] for line in kept(mirror)) == 4 * kept(mirror)[0]["at_most_pusd"]


@pytest.mark.parametrize(
    ("error", "status", "paid"),
    [
        (RefusedError(400), "validation", False), (RefusedError(429), "rate_limit", False), (RefusedError(500), "transport", True),
        (RefusedError(408), "transport", True), (ConnectionError(), "transport", True), (RecursionError(), "transport", True),
    ],
)  # fmt: skip
def test_failures_are_kept_and_a_failing_provider_is_left_alone(tmp_path: Path, error: Exception, status: str, paid: bool) -> None:
    """A failure is a row with its kind; one that may have been answered unseen is paid in full; one of the provider brings a rest."""
    mirror, call = Mirror(tmp_path), Called(error)
    (line,) = mirrored(mirror, call)
    assert (line["status"], line["error_class"]) == (status, type(error).__name__)
    assert (line["cost_pusd"], line["evidence"]) == ((line["at_most_pusd"], "assumed") if paid else (0, "measured"))
    mirrored(mirror, call)
    resting = status in ("transport", "rate_limit")
    assert len(call.asked) == (1 if resting else 2)
    assert mirror.events.totals["not mirrored", "resting after a failure"] == int(resting)


@pytest.mark.parametrize("answer", [None, "text", {"usage": None}, {"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, {"usage": []}])
def test_an_answer_without_tokens_costs_all_that_was_held(tmp_path: Path, answer: Any) -> None:
    """Where an answer does not say what it took, the most it may have taken counts, as assumed."""
    (line,) = mirrored(Mirror(tmp_path), Called(answer))
    assert (line["cost_pusd"], line["evidence"]) == (line["at_most_pusd"], "assumed")


def test_nothing_is_raised_wherever_it_fails(tmp_path: Path) -> None:
    """No folder to write to, a body that is none, a call that is none: counted, and the next request is mirrored again."""
    (tmp_path / "mirror").write_text("no folder", "utf-8")
    mirror = Mirror(tmp_path)
    asyncio.run(mirror.answer(Called(), BODY, "chat", "small", 1.0, RATES, TODAY))
    asyncio.run(mirror.answer(Called(), {"messages": [{"role": float}]}, "chat", "small", 1.0, RATES, TODAY))
    assert sum(mirror.events.totals.values()) == 2
    (tmp_path / "mirror").unlink()
    assert len(mirrored(mirror)) == 1
    assert len(mirrored(mirror, lambda **_: 3)) == 2


def test_the_events_go_to_the_file_of_the_process(tmp_path: Path) -> None:
    """Counts are of the events that the caller hands over, so that one file has all."""
    from planner.router.events import Events

    events = Events(tmp_path / "events.jsonl", "w")
    mirrored(Mirror(tmp_path, events), rates=None)
    events.flush()
    assert json.loads((tmp_path / "events.jsonl").read_text("utf-8"))["event"] == "not mirrored"
