"""From bill to bill in parts that are exact: laws for any two months, one planted change at a time, and routing from those a lot kept."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from followup.made_bills import anything, as_log, book, month, planted
from followup.made_rollout import World, columns, digest, made_bundle, rolled_out
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small import traffic_of
from support.steered import BIG

from planner.errors import InputError
from planner.followup.bridge import Bridge, bridge
from planner.followup.bridge_result import OVERHEAD, WORDS
from planner.followup.bridge_shapley import FACTORS
from planner.followup.verify import verify
from planner.schema import TOKEN_BUCKETS
from planner.traffic import Traffic
from planner.units import usd_to_pusd


def bridged(last: pd.DataFrame, this: pd.DataFrame, invoices: tuple[float, float] | None = None) -> Bridge:
    """Write both tables as logs and split the difference of their bills."""
    with TemporaryDirectory() as folder:
        logs = [traffic_of(Path(folder) / name, as_log(table)) for name, table in (("last", last), ("this", this))]
        return bridge(*logs, book=book(), invoices=invoices)


def lines(found: Bridge) -> dict[str, int]:
    """Return line → integers [pUSD]."""
    return dict(zip(found.table["line"], found.table["pusd"], strict=True))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_parts_add_up_and_turn_round(one: int, other: int) -> None:
    """Of any two logs, lines and apps add up to the integer; from this month to the last all have the opposite sign, new apps vanish."""
    there, back = bridged(anything(one), anything(other)), bridged(anything(other), anything(one))
    assert all(type(x) is int for x in there.table["pusd"])
    assert sum(there.table["pusd"]) == there.bills[1] - there.bills[0]
    changes = there.apps[[*FACTORS, "new app", "vanished app"]].sum(axis=1)
    assert changes.tolist() == (there.apps["this_pusd"] - there.apps["last_pusd"]).tolist()
    assert (there.apps["last_pusd"].sum(), there.apps["this_pusd"].sum()) == there.bills == back.bills[::-1]
    turned = {"new app": "vanished app", "vanished app": "new app"}
    opposite = {":".join([turned.get(k := name.partition(":")[0], k), *name.split(":")[1:]]): -x for name, x in lines(back).items()}
    assert lines(there) == opposite


def test_lines_of_a_sample_are_estimated(tmp_path: Path) -> None:
    """Where rows of either month stand for others no line is measured; of whole logs they are."""
    last, this = (as_log(table) for table in planted("volume"))
    whole = bridge(traffic_of(tmp_path / "a", last), traffic_of(tmp_path / "b", this), book=book())
    part = bridge(traffic_of(tmp_path / "a", last), traffic_of(tmp_path / "c", this.assign(weight=10.0)), book=book())
    assert set(whole.table["evidence"]) == {"measured"}
    assert set(part.table["evidence"]) == {"estimated"}


@pytest.mark.parametrize("change", FACTORS)
def test_a_single_change_goes_to_its_own_line(change: str) -> None:
    """Where one thing alone changes, its line is the whole difference, all other lines nothing, and the words name it."""
    found = bridged(*planted(change))
    moved, gap = lines(found), found.bills[1] - found.bills[0]
    if change == "app mix":
        assert gap != 0
    assert moved[change] == pytest.approx(gap, rel=1e-9)
    assert max(abs(x) for name, x in moved.items() if name != change) < 1e-9 * abs(gap) + 1
    first = found.text.splitlines()[2]
    assert first.startswith(change[0].upper() + change[1:])
    assert WORDS[change][0] in first


def test_apps_that_come_and_go_are_lines_of_their_own() -> None:
    """A new and a vanished app stand with their whole bill, and the apps of both months show no change."""
    last, this = month("2026-11-01"), month("2026-12-01")
    chat, search = (last["app"] == name for name in ("chat", "search"))
    found = bridged(last, pd.concat([this[chat], this[search].assign(app="mail")]))
    moved = lines(found)
    assert moved["new app: mail"] == -moved["vanished app: search"] > 0
    assert not any(x for name, x in moved.items() if "app: " not in name)
    alone = bridged(last[chat], this[search])
    assert lines(alone)["vanished app: chat"] == -alone.bills[0]
    assert lines(alone)["new app: search"] == alone.bills[1]


def test_invoices_are_the_bills_and_the_contract_is_what_logs_do_not_explain() -> None:
    """With invoices parts add up to their difference; of two equal months it is all contract."""
    found = bridged(month("2026-11-01"), month("2026-12-01"), (1_000.10, 900.05))
    assert found.bills == (usd_to_pusd(1_000.10), usd_to_pusd(900.05))
    assert sum(lines(found).values()) == found.bills[1] - found.bills[0]
    assert lines(found)["contract"] == pytest.approx(-100.05e12, rel=1e-6)
    for wrong in ((1.0,), (1.0, 0.0), (1.0, float("nan"))):
        with pytest.raises(InputError, match="two amounts above 0"):
            bridged(month("2026-11-01"), month("2026-12-01"), wrong)  # type: ignore[arg-type]


def test_equal_months_have_nothing_to_say(tmp_path: Path) -> None:
    """A log against itself has lines of 0 and says so; calls that are no user's are an app of their own."""
    table = as_log(month("2026-11-01"))
    log = traffic_of(tmp_path / "log", table.assign(purpose=np.where(table["app"] == "chat", "user", "judge")))
    found = bridge(log, log, book=book())
    assert set(lines(found).values()) == {0}
    assert "Nothing changed the bill." in found.text
    assert found.apps["app"].tolist() == [OVERHEAD, "chat"]


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> tuple[Traffic, Traffic, Path, float]:
    """Return a month as asked, one in which a bundle routed, the bundle, and what that saved [USD]."""
    folder = tmp_path_factory.mktemp("months")
    bundle = made_bundle(folder / "production")
    last = columns(World(seed=1, moved=0.0), digest(bundle)).drop(columns=["tags", "action", "action_propensities"])
    last["timestamp"] -= pd.Timedelta(days=30)
    this = columns(World(seed=2, shares=(0.5, 0.5)), digest(bundle))
    logs = traffic_of(folder / "last", last), traffic_of(folder / "this", this)
    as_asked = traffic_of(folder / "asked", this.assign(model=BIG))
    saved = bridge(as_asked, logs[1], book=book()).usd
    return *logs, bundle, saved[0] - saved[1]


def test_routing_is_measured_on_those_a_lot_kept(months: tuple[Traffic, Traffic, Path, float]) -> None:
    """The saving stands as a line of its own whose interval holds the truth; with the other mix it is the model mix to the integer."""
    last, this, bundle, saved = months
    found, plain = bridge(last, this, book=book(), bundle=bundle), bridge(last, this, book=book())
    routing = found.table.set_index("line").loc["routing"]
    assert routing["low"] < -saved < routing["high"]
    assert routing["high"] < 0
    assert routing["evidence"] == "measured"
    mix = lines(found)
    assert mix["routing"] + mix["other model mix"] == lines(plain)["model mix"]
    assert {k: v for k, v in mix.items() if k not in ("routing", "other model mix")} == {
        k: v for k, v in lines(plain).items() if k != "model mix"
    }
    assert sum(mix.values()) == found.bills[1] - found.bills[0]
    assert "measured against those a lot kept" in found.text
    again = bridge(this, last, book=book(), bundle=bundle)
    assert "This month the bundle routed nothing." in again.text


def test_what_other_requests_cost_does_not_scale_routing(months: tuple[Traffic, Traffic, Path, float], tmp_path: Path) -> None:
    """Requests of a model without a list price that state twice the bill leave the routing line as it is, to the cent."""
    bundle = months[2]

    def beside(log: Traffic, name: str) -> Traffic:
        frame = log.frame("app", "session_id", "provider", "model", "timestamp", "tags", "action", "action_propensities", *TOKEN_BUCKETS)
        video = frame.iloc[:2_000].assign(app="video", model="nobody-knows", session_id=None, source_cost_usd=0.02)
        video = video.assign(tags=None, action=None, action_propensities=None)
        return traffic_of(tmp_path / name, pd.concat([frame.assign(source_cost_usd=np.nan), video], ignore_index=True))

    plain = bridge(months[0], months[1], book=book(), bundle=bundle).table.set_index("line").loc["routing"]
    found = bridge(beside(months[0], "last"), beside(months[1], "this"), book=book(), bundle=bundle)
    assert found.usd[1] > 2 * bridge(months[0], months[1], book=book()).usd[1]
    own = found.table.set_index("line").loc["routing"]
    assert [own[x] for x in ("usd", "low", "high")] == pytest.approx([plain[x] for x in ("usd", "low", "high")], rel=1e-6)


def test_routing_is_in_dollars_as_billed(months: tuple[Traffic, Traffic, Path, float]) -> None:
    """An invoice of half the list price halves what routing saved and its interval."""
    last, this, bundle, _ = months
    plain = bridge(last, this, book=book(), bundle=bundle)
    halved = bridge(last, this, book=book(), bundle=bundle, invoices=(plain.usd[0] / 2, plain.usd[1] / 2))
    rows = [found.table.set_index("line").loc["routing", ["usd", "low", "high"]].to_numpy(float) for found in (plain, halved)]
    assert rows[1] == pytest.approx(rows[0] / 2, rel=1e-6)


def test_what_verify_refuses_is_no_routing_line(months: tuple[Traffic, Traffic, Path, float], tmp_path: Path) -> None:
    """Routed answers logged with no tokens and a cost of 0 cost an unknown amount: verify and bridge both say so, and neither saves."""
    frame = months[1].frame("app", "session_id", "provider", "model", "timestamp", "tags", "action", "action_propensities", *TOKEN_BUCKETS)
    lost = (frame["tags"].str.contains("planner-arm:routed") & (np.arange(len(frame)) % 7 == 0)).to_numpy()
    frame.loc[lost, list(TOKEN_BUCKETS)] = 0
    this = traffic_of(tmp_path / "this", frame.assign(source_cost_usd=np.where(lost, 0.0, np.nan)))
    verified, found = verify(this, months[2], book=book()), bridge(months[0], this, book=book(), bundle=months[2])
    assert verified.estimate("saving_share") is None
    assert "routing" not in lines(found)
    assert f"{int(lost.sum()):,} requests of this month have no cost and are in no figure." in found.text
    (alarm,) = verified.alarms
    assert alarm.words in found.text, "one rule, one sentence"


def test_what_another_bundle_routed_is_not_taken_for_nothing(tmp_path: Path) -> None:
    """Where another bundle routed a month, routing is no line and the note names option and bundle; with the bundle that ran it is one."""
    ran, new = made_bundle(tmp_path / "ran"), made_bundle(tmp_path / "new", {"saving_share": {"value": 0.1}})
    before = columns(World(sessions=800, seed=1, shares=(0.5, 0.5)), digest(ran))
    before["timestamp"] -= pd.Timedelta(days=30)
    last = traffic_of(tmp_path / "last", before)
    this = rolled_out(tmp_path / "this", World(sessions=800, seed=2, shares=(0.5, 0.5)), digest(new))
    found = bridge(last, this, book=book(), bundle=new)
    assert "routing" not in lines(found)
    assert f"by {digest(ran)[:8]}, not by {digest(new)[:8]}" in found.text
    assert "as --bundle-last" in found.text
    assert "routing" in lines(bridge(last, this, book=book(), bundle=new, bundle_last=ran))
    wrong = bridge(last, this, book=book(), bundle=ran)
    assert "routing" not in lines(wrong)
    assert "Give the bundle that ran as --bundle." in wrong.text


def test_without_anybody_kept_routing_is_not_measured(tmp_path: Path) -> None:
    """A rollout without holdout leaves the model mix as it is, and the note says why."""
    bundle = made_bundle(tmp_path / "production")
    log = rolled_out(tmp_path / "log", World(sessions=200, holdout=0.0, shares=(1.0, 1.0)), digest(bundle))
    found = bridge(log, log, book=book(), bundle=bundle)
    assert "routing" not in lines(found)
    assert "what routing saved is not measured" in found.text
