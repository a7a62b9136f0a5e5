"""What is chosen for labelling: the money, the weights, and everything that must never be asked again."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from support.asked import CANDIDATES, log_of, mixed_log
from support.small import prompt

from planner.errors import InputError, NeedsError, PriceError
from planner.labels import Work, sample_labels
from planner.labels.allocate import Strata, targets, whole
from planner.labels.asking import Asked
from planner.labels.batch import write_batches
from planner.labels.bodies import items_of, openai_body
from planner.labels.draw import Drawn, draw
from planner.labels.eligible import REASONS
from planner.labels.sample import prepare
from planner.labels.units import units_of
from planner.prices import PriceBook
from planner.traffic import App, Apps, Traffic

SEEDS = 40
_FOLDED = ("a later turn of a session", "a near duplicate")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Write the mixed log once."""
    return mixed_log(tmp_path_factory.mktemp("mixed") / "log")


def _labelled(traffic: Traffic, book: PriceBook, budget: float = 5.0, **options: Any) -> pd.DataFrame:
    return sample_labels(traffic, CANDIDATES, budget, book=book, **{"least": 5, **options}).items


def test_every_request_is_accounted_for(mixed: Traffic, book: PriceBook) -> None:
    """Chosen, undrawn, folded and excluded requests add up to the log, and their shares of spend to one."""
    found = sample_labels(mixed, CANDIDATES, 0.2, book=book, least=5)
    assert found.table["requests"].sum() == len(mixed)
    assert found.table["share_of_spend"].sum() == pytest.approx(1)
    counts = found.table.set_index("what")["requests"]
    assert counts["to be labelled"] == len(found.items) == found.apps["items"].sum()
    assert {*_FOLDED, *REASONS[1:4], *REASONS[5:8], REASONS[9], REASONS[10]} <= {*counts.index}
    frame = mixed.frame()
    assert counts[REASONS[1]] == (frame["purpose"] == "overhead").sum()
    assert counts.sum() == len(frame)


def test_what_must_not_be_asked_again_never_is(mixed: Traffic, book: PriceBook) -> None:
    """No seed draws a request that was cut, has no text, offers tools, holds more than text, failed, or was a cached answer."""
    frame = mixed.frame().set_index("request_id")
    for seed in range(5):
        drawn = frame.loc[_labelled(mixed, book, seed=seed)["request_id"]]
        assert (drawn["text_state"] == "full").all()
        assert not drawn["has_tools"].any()
        assert (drawn["modalities"] == "text").all()
        assert (drawn["status"] == "ok").all()
        assert not drawn["cache_hit"].any()
        assert (drawn["purpose"] == "user").all()
        assert (drawn["response_format"] != "json_schema").all()


@pytest.mark.parametrize("unit", ["request", "session"])
def test_weighted_totals_are_unbiased(mixed: Traffic, book: PriceBook, unit: str) -> None:
    """Over seeds the weighted number of requests, and of a property of those asked for, is that of all that could be labelled."""
    ready = prepare(mixed, CANDIDATES, Asked(), apps=None, book=book, unit=unit, schemas={}, at=None)
    weight, value = ready.frame["weight"].to_numpy(float), mixed.frame("input_tokens")["input_tokens"].to_numpy(float)
    everything = [draw(ready, 100.0, 5, seed) for seed in range(SEEDS)]  # enough for every unit
    assert all((d.probability == 1).all() and len(d.picked) == len(d.units.row) for d in everything)
    population = everything[0].units.total(weight).sum()
    some = [draw(ready, 0.15, 5, seed) for seed in range(SEEDS)]
    assert all(len(d.picked) < 0.6 * len(d.units.row) for d in some)
    requests = [_total(d, weight, np.ones(len(weight))) for d in some]
    assert abs(np.mean(requests) - population) < 4 * np.std(requests, ddof=1) / np.sqrt(SEEDS)
    assert np.std(requests, ddof=1) / np.sqrt(SEEDS) < 0.02 * population  # sharp enough to find weights that are wrong by a tenth
    # which of several near duplicates stands for them is drawn too, so that what differs between them is right as well
    one, other = ([_total(d, weight, value) for d in drawn] for drawn in (some, everything))
    assert abs(np.mean(one) - np.mean(other)) < 4 * np.hypot(np.std(one, ddof=1), np.std(other, ddof=1)) / np.sqrt(SEEDS)
    if unit == "request":
        assert abs(np.mean(other) - (weight * value)[ready.reason == 0].sum()) < 4 * np.std(other, ddof=1) / np.sqrt(SEEDS)


def _total(drawn: Drawn, weight: NDArray[np.float64], value: NDArray[np.float64]) -> float:
    """Return the Horvitz-Thompson total of ``value``, which is read at the requests that are asked."""
    mass = drawn.units.total(weight)[drawn.picked] / drawn.probability[drawn.picked]
    return float(mass @ value[drawn.units.row[drawn.picked]])


def test_items_carry_these_weights(mixed: Traffic, book: PriceBook) -> None:
    """Each item's weight is the requests of its unit over its probability, and its stake is theirs, whatever the order of asking."""
    ready = prepare(mixed, CANDIDATES, Asked(), apps=None, book=book, unit="session", schemas={}, at=None)
    found = draw(ready, 0.15, 5, 3)
    items = _labelled(mixed, book, budget=0.15, seed=3).set_index("request_id")
    weight, rows = ready.frame["weight"].to_numpy(float), found.units.row[found.picked]
    items = items.loc[ready.frame["request_id"].iloc[rows]]
    np.testing.assert_allclose(items["weight"], found.units.total(weight)[found.picked] / found.probability[found.picked])
    np.testing.assert_allclose(items["stake_usd"], found.units.total(ready.terms.stake_pusd * weight)[found.picked] / 1e12)
    np.testing.assert_array_equal(items["requests"], np.bincount(found.units.unit[found.units.unit >= 0])[found.picked])


def test_a_near_duplicate_is_drawn_in_proportion_to_its_weight(book: PriceBook) -> None:
    """Of two requests alike of which one stands for three, that one is asked three times out of four."""
    taken = []
    for seed in range(2_000):
        draw = np.random.default_rng(seed).random(2)
        zero, time = np.zeros(2, np.int8), np.array(["2026-01-01", "2026-01-02"], "datetime64[us]")
        units = units_of(zero, zero.astype(bool), None, time, np.ones(2, np.uint64), np.array([1.0, 3.0]), draw)
        taken.append(int(units.row[0]))
        assert units.total(np.array([1.0, 3.0])).tolist() == [4.0]
    assert np.mean(taken) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 2_000))


def test_near_duplicates_are_asked_once(tmp_path: Path, book: PriceBook) -> None:
    """Prompts that differ in case, spacing and punctuation are one item that stands for all; another word makes another."""
    traffic = log_of(tmp_path / "log", ["Where is my parcel?", "where is  MY parcel", "Where is my parcel!!", "Where is my refund?"])
    items = _labelled(traffic, book, least=1)
    assert sorted(items["weight"]) == [1.0, 3.0]
    assert sorted(items["requests"]) == [1, 3]
    assert items["group"].nunique() == 2


def test_a_session_is_its_first_turn(tmp_path: Path, book: PriceBook) -> None:
    """The first turn is asked and stands for the session; per request, every turn is asked."""
    texts = [f"turn {i} of {s}" for s in "abc" for i in range(4)]
    traffic = log_of(tmp_path / "log", texts, session_id=[s for s in "abc" for _ in range(4)], user="u")
    items = _labelled(traffic, book, least=1)
    assert sorted(items["request_id"]) == ["r0", "r4", "r8"]
    assert items["weight"].tolist() == [4.0] * 3
    assert len(_labelled(traffic, book, least=1, unit="request")) == 12


def test_a_session_whose_first_turn_is_cut_is_left_out_whole(tmp_path: Path, book: PriceBook) -> None:
    """The turn that decides cannot be asked, so that no later turn stands for it."""
    traffic = log_of(tmp_path / "log", [f"turn {i}" for i in range(4)], session_id=["a", "a", "b", "b"], text_state=["cut", *["full"] * 3])
    found = sample_labels(traffic, CANDIDATES, 5, book=book, least=1)
    assert found.items["request_id"].tolist() == ["r2"]
    assert found.table.set_index("what")["requests"][REASONS[6]] == 2


def test_equal_seeds_draw_the_same_whatever_the_order_of_the_log(mixed: Traffic, tmp_path: Path, book: PriceBook) -> None:
    """A shuffled log gives the same requests, weights and order of asking; another seed gives others."""
    whole_log = mixed.frame(*mixed.arrow().column_names, "messages", "response")
    shuffled = whole_log.sample(frac=1, random_state=1).reset_index(drop=True)
    again = log_of(tmp_path / "log", [""] * len(shuffled), **{c: shuffled[c] for c in shuffled if c != "prefix_blocks"})
    one, other = (sample_labels(t, CANDIDATES, 0.1, book=book, least=5) for t in (mixed, again))
    pd.testing.assert_frame_equal(one.items, other.items)
    pd.testing.assert_frame_equal(one.work.asks, other.work.asks)
    assert {*_labelled(mixed, book, 0.1, seed=1)["request_id"]} != {*one.items["request_id"]}


def test_apps_with_most_at_stake_come_first(mixed: Traffic, book: PriceBook) -> None:
    """A small budget reaches the dearest app alone; whoever is reached gets the minimum; what is not reached is said."""
    little = sample_labels(mixed, CANDIDATES, 0.12, book=book, least=20)
    assert little.apps["app"].tolist()[0] == "big"
    assert (little.apps["items"] >= 19).all()  # 20 on average: whole numbers are drawn in every kind of request
    assert REASONS[14] in {*little.table["what"]}
    more = sample_labels(mixed, CANDIDATES, 0.3, book=book, least=20)
    assert len(more.apps) > len(little.apps)
    assert more.apps["stake_usd"].is_monotonic_decreasing


def test_the_price_is_the_price_books(mixed: Traffic, book: PriceBook) -> None:
    """Each ask costs its logged input, nothing cached, and an answer as long as today's, at the rates of its model."""
    found = sample_labels(mixed, CANDIDATES, 0.2, book=book, least=5)
    frame = mixed.frame("request_id", "input_tokens", "output_tokens").set_index("request_id")
    rates = {m: book.quote(m, "openai").usd_per_mtok for m in CANDIDATES}
    for ask in found.work.asks.head(40).itertuples():
        row, rate = frame.loc[ask.request_id], rates[ask.model]
        expected = row["input_tokens"] * rate["input_tokens"] + row["output_tokens"] * rate["output_tokens"]
        assert ask.price_pusd == round(expected * 1e6)
        assert ask.at_most_pusd >= ask.price_pusd
        assert ask.limit_tokens == 500
    assert found.price_usd == pytest.approx(found.work.asks["price_pusd"].sum() / 1e12)


def test_the_price_stays_within_the_budget(mixed: Traffic, book: PriceBook) -> None:
    """Whatever the seed, the expected price is within the budget and uses most of it, grading included."""
    for seed in range(6):
        found = sample_labels(mixed, CANDIDATES, 0.2, book=book, least=5, seed=seed)
        assert 0.15 < found.price_usd <= 0.2
        graded = sample_labels(mixed, CANDIDATES, 0.2, book=book, least=5, seed=seed, grader_usd=0.001)
        assert 0.15 < graded.price_usd <= 0.2
        assert len(graded.items) < len(found.items)
        assert graded.apps["price_usd"].sum() == pytest.approx(graded.price_usd)


def test_stated_answer_lengths_and_limits_set_the_price(tmp_path: Path, book: PriceBook) -> None:
    """A stated length counts for its model alone, never beyond the limit; where the log states no limit, the caller's is sent."""
    traffic = log_of(tmp_path / "log", ["a", "b"], max_tokens=[None, 60])
    found = sample_labels(traffic, CANDIDATES, 5, book=book, least=1, expected_output={CANDIDATES[0]: 80}, limit_tokens=70)
    asks = found.work.asks.set_index(["request_id", "model"])
    assert asks["limit_tokens"].to_dict() == {(r, m): n for r, n in (("r0", 70), ("r1", 60)) for m in CANDIDATES}
    assert asks["output_tokens"].unstack()[CANDIDATES[0]].tolist() == [70, 60]
    assert asks["output_tokens"].unstack()[CANDIDATES[1]].tolist() == [50, 50]


def test_todays_answer_is_reused(mixed: Traffic, tmp_path: Path, book: PriceBook) -> None:
    """Nobody asks today's model where the log holds its answer; where it does not, today's model is asked too."""
    found = sample_labels(mixed, [*CANDIDATES, "gpt-5.4"], 0.2, book=book, least=5)
    assert set(found.work.asks["model"]) == {*CANDIDATES}
    assert found.work.logged["request_id"].tolist() == found.items["request_id"].tolist()
    assert (found.work.logged["paid_usd"] == 0).all()
    assert (found.work.logged["cost_usd"] > 0).all()
    silent = log_of(tmp_path / "log", ["a", "b"], response=[None, "x"])
    work = sample_labels(silent, CANDIDATES, 5, book=book, least=1).work
    assert set(work.asks.loc[work.asks["request_id"] == "r0", "model"]) == {*CANDIDATES, "gpt-5.4"}
    assert set(work.asks.loc[work.asks["request_id"] == "r1", "model"]) == {*CANDIDATES}
    assert work.logged["request_id"].tolist() == ["r1"]


def test_prompts_go_only_to_providers_that_may_see_them(tmp_path: Path, book: PriceBook) -> None:
    """A provider that the log never shows needs a word: of the app's owner, or of the caller where the owner says nothing."""
    traffic = log_of(tmp_path / "log", ["a", "b", "c"], app=["open", "shut", "guess"])
    models = ["gpt-5.4-mini", "claude-haiku-4-5"]
    apps = Apps(
        {
            "open": App(allowed_providers=("anthropic",)),
            "shut": App(allowed_providers=("mistral",)),
            "guess": App(allowed_providers=("openai",), assumed=("allowed_providers",)),
        }
    )

    def asked(**options: Any) -> set[tuple[str, str]]:
        work = sample_labels(traffic, models, 5, book=book, least=1, **options).work
        app = work.items.set_index("request_id")["app"]
        return {(app[r], m) for r, m in zip(work.asks["request_id"], work.asks["model"], strict=True)}

    assert asked(apps=apps) == {("open", "claude-haiku-4-5"), ("guess", "gpt-5.4-mini")}
    assert asked(apps=apps, providers=["anthropic"]) == {("open", "claude-haiku-4-5"), *(("guess", m) for m in models)}
    assert {m for _, m in asked()} == {"gpt-5.4-mini"}
    table = sample_labels(traffic, models, 5, book=book, least=1, apps=apps).table.set_index("what")
    assert table.loc[REASONS[11], "requests"] == 1
    named = Apps({a: App(candidates=("gpt-5.4-nano",) if a == "open" else ()) for a in ("open", "shut", "guess")})
    assert asked(apps=named) == {("shut", "gpt-5.4-mini"), ("guess", "gpt-5.4-mini")}


def test_tools_are_never_asked_again(tmp_path: Path, book: PriceBook) -> None:
    """Offered tools, and tool calls in the history, exclude a request; where they may act, that is the reason given."""
    history = json.dumps([{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{"function": {"name": "pay"}}]}])
    traffic = log_of(
        tmp_path / "log", ["a", "b", "c", "d"], messages=[prompt("a"), prompt("b"), history, prompt("d")],
        app=["acts", "reads", "reads", "reads"], has_tools=[True, True, False, False],
    )  # fmt: skip
    apps = Apps({"acts": App(side_effects=True), "reads": App()})
    found = sample_labels(traffic, CANDIDATES, 5, book=book, least=1, apps=apps)
    assert found.items["request_id"].tolist() == ["r3"]
    counts = found.table.set_index("what")["requests"]
    assert (counts[REASONS[7]], counts[REASONS[8]]) == (1, 2)


def test_a_stated_schema_opens_structured_answers(tmp_path: Path, book: PriceBook) -> None:
    """Logs hold no JSON schemas: without one the app's requests are left out, with one they are asked and the work holds it."""
    traffic = log_of(tmp_path / "log", ["a", "b"], response_format=["json_schema", "text"])
    schema = {"type": "object"}
    assert _labelled(traffic, book, least=1)["request_id"].tolist() == ["r1"]
    found = sample_labels(traffic, CANDIDATES, 5, book=book, least=1, schemas={"chat": schema})
    assert len(found.items) == 2
    assert found.work.meta["schemas"] == {"chat": schema}


def test_the_schema_that_is_sent_is_in_the_most_that_an_answer_costs(tmp_path: Path, book: PriceBook) -> None:
    """What is set aside for a call, by a run or in a batch, pays for every byte of its body as a token of input."""
    traffic = log_of(tmp_path / "log", ["a", "b"], response_format=["json_schema", "text"])
    schema = {"type": "object", "properties": {f"field {i}": {"type": "string", "description": "what it says " * 9} for i in range(60)}}
    work = sample_labels(traffic, CANDIDATES, 5, book=book, least=1, schemas={"chat": schema}).work
    items = items_of(work)
    for ask in work.asks.to_dict("records"):
        body = openai_body(items[ask["request_id"]], ask, {}, work.meta["schemas"], "max_tokens")
        rate = book.quote(ask["model"], "openai").usd_per_mtok
        sent = len(json.dumps(body).encode()) * rate["input_tokens"] + 100 * rate["output_tokens"]
        assert sent <= ask["at_most_pusd"] / 1e6 < sent + 300 * rate["input_tokens"]
    batches = write_batches(work, "openai", tmp_path / "out", book=book).table.set_index("model")
    for model in CANDIDATES:
        rate = book.quote(model, "openai", "batch").usd_per_mtok
        assert batches["at_most_usd"][model] * 1e6 >= batches["bytes"][model] * rate["input_tokens"] + 200 * rate["output_tokens"]


def test_a_prompt_that_fits_no_window_is_left_out(tmp_path: Path, book: PriceBook) -> None:
    """A model is not asked about what its context window does not hold, and the request is counted when none does."""
    windows = [book.context_window(m, "openai") or 0 for m in CANDIDATES]
    assert min(windows) > 0
    traffic = log_of(tmp_path / "log", ["a", "b"], input_tokens=[max(windows), 100])
    found = sample_labels(traffic, CANDIDATES, 5, book=book, least=1)
    assert found.items["request_id"].tolist() == ["r1"]
    assert found.table.set_index("what")["requests"][REASONS[12]] == 1


def test_an_app_without_a_cheaper_candidate_is_left_out(tmp_path: Path, book: PriceBook) -> None:
    """Where today's model is the cheapest there is nothing at stake."""
    traffic = log_of(tmp_path / "log", ["a", "b"], app=["dear", "cheap"], model=["gpt-5.4", "gpt-5.4-nano"])
    found = sample_labels(traffic, CANDIDATES, 5, book=book, least=1)
    assert found.items["app"].tolist() == ["dear"]
    assert found.table.set_index("what")["requests"][REASONS[13]] == 1


def test_all_kinds_of_requests_are_drawn(tmp_path: Path, book: PriceBook) -> None:
    """Templates, lengths and days appear in proportion, to within a few requests, at any seed."""
    n = 400
    texts = [f"{'long ' * (40 if i % 4 == 0 else 1)}question {i}" for i in range(n)]
    day = pd.to_datetime(["2026-11-01", "2026-11-02"], utc=True)
    traffic = log_of(
        tmp_path / "log", texts, prompt_version=["v1" if i % 8 else "v2" for i in range(n)], timestamp=[day[i % 2] for i in range(n)]
    )
    frame = traffic.frame("request_id", "prompt_version", "timestamp").set_index("request_id")
    for seed in range(5):
        drawn = frame.loc[_labelled(traffic, book, budget=0.01, seed=seed)["request_id"]]
        assert 20 < len(drawn) < 100
        assert abs((drawn["prompt_version"] == "v2").mean() - 1 / 8) < 2.5 / len(drawn)
        assert abs((drawn["timestamp"] == day[0]).mean() - 1 / 2) < 6 / len(drawn)


def test_work_comes_back_and_only_its_owner_may_read_it(mixed: Traffic, tmp_path: Path, book: PriceBook) -> None:
    """The folder holds prompts: nobody else reads it; it opens as it was; answers that were paid for are never overwritten."""
    saved = sample_labels(mixed, CANDIDATES, 0.2, book=book, least=5).work.save(tmp_path / "work")
    opened = Work.open(tmp_path / "work")
    for name in ("items", "asks", "logged"):
        pd.testing.assert_frame_equal(getattr(saved, name), getattr(opened, name))
    assert opened.meta["candidates"] == list(CANDIDATES)
    assert stat.S_IMODE((tmp_path / "work").stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) & 0o077 for f in (tmp_path / "work").glob("*.parquet")} == {0}
    saved.save(tmp_path / "work")
    (tmp_path / "work" / "journal.jsonl").write_text("")
    with pytest.raises(InputError, match=r"paid for.*a new folder"):
        saved.save(tmp_path / "work")


def test_bad_input_is_one_sentence_with_the_next_step(mixed: Traffic, tmp_path: Path, book: PriceBook) -> None:
    """Budgets, models, units and logs that cannot work say what to do."""
    with pytest.raises(InputError, match="dollars above 0"):
        _labelled(mixed, book, budget=0)
    with pytest.raises(InputError, match=r"price of one request\. Raise it"):
        _labelled(mixed, book, budget=1e-7)
    with pytest.raises(InputError, match="session or request"):
        _labelled(mixed, book, unit="user")
    with pytest.raises(InputError, match="each once"):
        sample_labels(mixed, ["gpt-5.4-mini"] * 2, 1, book=book)
    with pytest.raises(PriceError, match=r"gpt-5\.4-mni"):
        sample_labels(mixed, ["gpt-5.4-mni"], 1, book=book)
    with pytest.raises(NeedsError, match="Name cheaper ones"):
        sample_labels(mixed, ["gpt-5.4"], 1, book=book)
    with pytest.raises(NeedsError, match="no prompt text in the log"):
        _labelled(log_of(tmp_path / "log", ["a"], text_state="none", messages=[None]), book)
    with pytest.raises(InputError, match=r"no entry for acting"):
        _labelled(mixed, book, apps=Apps({"big": App(), "middle": App(), "small": App()}))


_SIZES = st.integers(1, 12)


@given(st.data())
def test_targets_keep_to_budget_minimum_and_room(data: st.DataObject) -> None:
    """No stratum gets more than it has, no app less than the minimum unless all or nothing, and the mean cost is within the budget."""
    h = data.draw(_SIZES)
    app = np.sort(data.draw(arrays(np.int64, h, elements=st.integers(0, 3))))
    app = np.unique(app, return_inverse=True)[1]
    positive = st.floats(0.01, 100)
    units = data.draw(arrays(float, h, elements=st.integers(1, 200)))
    strata = Strata(app, units, data.draw(arrays(float, h, elements=positive)), data.draw(arrays(float, h, elements=positive)))
    budget, least = data.draw(st.floats(1, 10_000)), data.draw(st.integers(1, 60))
    try:
        found = targets(strata, budget, least)
    except InputError as error:
        assert "price of one request" in str(error)  # noqa: PT017
        return
    assert ((found >= 0) & (found <= units + 1e-9)).all()
    assert found @ strata.price <= budget * (1 + 1e-6)
    got, room = strata.total(found), strata.total(units)
    reached = got > 0
    assert reached.sum() == 1 or (got[reached] >= np.minimum(least, room)[reached] - 1e-6).all()
    assert (found[reached[app]] > 0).all()


@given(st.data())
def test_whole_numbers_have_exactly_the_target_as_mean(data: st.DataObject) -> None:
    """Averaged over the start, counts equal targets; each count is a neighbour of its target, and so is every run of them."""
    target = data.draw(arrays(float, data.draw(_SIZES), elements=st.integers(0, 96).map(lambda k: k / 32)))
    app = np.zeros(len(target), np.int64)
    starts = (np.arange(32) + 0.5) / 32
    drawn = np.array([whole(target, app, np.array([u])) for u in starts])
    np.testing.assert_allclose(drawn.mean(axis=0), target, atol=1e-9)
    assert (np.abs(drawn - target) < 1).all()
    assert (np.abs(np.cumsum(drawn, axis=1) - np.cumsum(target)) < 1).all()
