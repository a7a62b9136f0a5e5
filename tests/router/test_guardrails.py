"""Guardrails: no false alarms beyond the stated rate, faults are found, every process sees an alarm, and resuming begins anew."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks import guardrails as benchmark
from benchmarks.guardrails import simulate
from benchmarks.guardrails_scenarios import MARGINS, RISEN, Scenario, more
from planner.router.guard_bounds import Count
from planner.router.guard_files import locked
from planner.router.guard_rule import DRIFT, LEAST, LEVEL, NONE_LEFT, STALE, Chances, all_routed, chances, judged, sure
from planner.router.guardrails import Guard, alarm_file
from planner.router.rollout import AppRollout, Guardrail, Rollout
from planner.router.tallies import SCALES, Outcome

GOOD, BAD = Outcome(False, 100.0, False, True), Outcome(True, None, False, None)
LIMITS = {"error": Guardrail(0.02, 0.01), "slow": Guardrail(0.03, 0.05, 9_000.0), "schema": Guardrail(0.02, 0.01)}
APP = AppRollout("canary", share=0.5, asks=("gpt-5",), guardrails={**LIMITS, "thumbs_down": Guardrail(0.05, 0.1)})
ON = Rollout("3f9a01c2", apps={"chat": APP})


def observe(guard: Guard, arm: str, good: int, bad: int, app: str = "chat") -> None:
    """Let a guard see so many answers of an arm."""
    for outcome, times in ((GOOD, good), (BAD, bad)):
        for _ in range(times):
            guard.observe(app, arm, outcome)


def harm(guard: Guard, good: int = 100, bad: int = 40, others: int = 30) -> None:
    """Let a guard see routed answers of which many are bad, and some of others, all good."""
    observe(guard, "routed", good, bad)
    observe(guard, "holdout", others, 0)


def guards(state: Path, names: Sequence[str] = ("a", "b"), rollout: Rollout = ON) -> list[Guard]:
    """Return the guards of several processes over one folder, after their first look."""
    found = [Guard(state, name) for name in names]
    for guard in found:
        guard.tick(rollout)
    return found


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("alike", 2_000, 0.5),
        Scenario("alike, few controls", 2_000, 0.95),
        Scenario("worse by exactly the margins", 2_000, 0.5, MARGINS),
        Scenario("worse by exactly the margins, few controls", 2_000, 0.95, MARGINS),
        Scenario("alike, and 10 points worse than the log, few controls", 2_000, 0.95, risen=RISEN),
        Scenario("alike, sessions of 5 that share half of their fate, few controls", 2_000, 0.95, session=5, together=0.5),
        Scenario("10 points worse than the log, all routed", 2_000, 1.0, risen=RISEN),
    ],
    ids=lambda s: s.name,
)
def test_no_more_false_alarms_than_stated(scenario: Scenario) -> None:
    """Of 2,000 rollouts without a fault beyond the margins, five guardrails looked at after every request stop at most LEVEL."""
    stopped = int((simulate(scenario, 2_000, seed=5) >= 0).sum())
    assert stopped <= binom.ppf(0.999, 2_000, LEVEL)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("errors +30 points", 2_000, 0.95, risen=more(error=30)),
        Scenario("errors +30 points, one of a hundred left alone", 4_000, 0.99, risen=more(error=30)),
        Scenario("errors +30 points for a while", 2_000, 0.95, incident=more(error=30)),
        Scenario("errors +99 points", 2_000, 0.95, risen=more(error=99)),
        Scenario("errors +30 points, in sessions that fail together", 2_000, 0.95, session=5, together=0.5, risen=more(error=30)),
    ],
    ids=lambda s: s.name,
)
def test_a_rise_of_both_arms_is_not_blamed_on_routing(scenario: Scenario) -> None:
    """Where both arms are far worse than the log, a guardrail stops no more of 500 rollouts than STALE, and never half as many as that."""
    stopped = int((simulate(scenario, 500, seed=5) >= 0).sum())
    assert stopped <= STALE / 2 * 500


@pytest.mark.parametrize(
    ("points", "share", "within"),
    [(5, 0.5, 6_500), (5, 0.95, 28_000), (10, 0.95, 7_000), (30, 0.95, 700), (60, 0.95, 300), (30, 0.5, 350), (30, 1.0, 250)],
)
def test_errors_are_found(points: float, share: float, within: int) -> None:
    """More errors stop nine rollouts of ten within so many requests: the fewer left alone, the later; with none, only far worse ones."""
    found = simulate(Scenario("", within, share, more(error=points)), 40, seed=1)
    assert (found > 0).sum() >= 36


@pytest.mark.parametrize(("share", "within"), [(0.5, 700), (0.95, 3_000), (1.0, 1_500)])
def test_an_outage_after_a_long_good_time_is_found_in_its_window(share: float, within: int) -> None:
    """Errors 30 points up after 30,500 good requests are found soon, since short windows begin anew."""
    found = simulate(Scenario("late", 30_500 + within, share, more(error=30), since=30_500), 20, seed=3)
    assert (found > 30_500).all()


@pytest.mark.parametrize("length", [10, 20])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_sessions_that_fail_whole_are_no_alarm(length: int, share: float) -> None:
    """With the design effect that an export measures, of 60 rollouts whose sessions fail whole in both arms alike none is stopped."""
    whole = Scenario("whole", 20_000, share, session=length, together=1.0, spread=True, logged=10_000)
    assert (simulate(whole, 60, seed=4) < 0).all()
    if share == 0.5:
        assert (simulate(replace(whole, logged=0), 20, seed=4) > 0).sum() >= 10, "without it, most are"


def test_faults_are_found_in_sessions_that_fail_whole_too() -> None:
    """Errors 30 points up stop nine of ten rollouts with sessions of ten, though after about as many times as many requests."""
    found = simulate(Scenario("", 20_000, 0.95, more(error=30), session=10, together=1.0, spread=True, logged=10_000), 20, seed=1)
    assert (found > 0).sum() >= 18


def test_a_design_effect_makes_fewer_of_all_counts() -> None:
    """So many answers as it says count as one, in the evidence and at the end of windows; a guardrail without one counts each."""
    limit, most = Guardrail(0.02, 0.01), chances("start", 1, 5)
    seen = Count(2_100, 126), Count(2_100, 21)
    assert judged(*seen, replace(limit, design_effect=1.0), most) == judged(*seen, limit, most) is not None
    assert judged(*seen, replace(limit, design_effect=3.0), most) is None
    tripled = [Count(3 * one.n, 3 * one.hits) for one in seen]
    assert judged(*tripled, replace(limit, design_effect=3.0), most) == judged(*seen, limit, most)


def test_a_window_ends_after_as_many_effective_answers(tmp_path: Path) -> None:
    """With a design effect of 2 a short window lasts twice as long as without, and alarms come as late."""
    for effect, number in ((None, 2), (2.0, 1)):
        guard = Guard(tmp_path / str(effect), "w")
        on = replace(ON, apps={"chat": replace(APP, guardrails={"error": Guardrail(0.02, 0.01, design_effect=effect)})})
        guard.tick(on)
        for i in range(1_500):
            guard.observe("chat", "routed" if i % 2 else "holdout", Outcome(False, 1.0, False, None))
        guard.tick(on)
        assert json.loads((tmp_path / str(effect) / "windows.json").read_text("utf-8"))["chat"][3] == number


@pytest.mark.parametrize(("rate", "most"), [(0.1, 0.1), (0.3, 0.1), (0.5, 0.4), (0.9, 0.4)])
def test_the_rule_holds_its_levels_exactly(rate: float, most: float) -> None:
    """By recursion over all paths of 60 routed and 12 other answers, alike: α where the log is off by DRIFT at most, β where by more."""
    held, alive, stopped = 0.3, np.array([[1.0]]), 0.0
    for k in range(1, 73):
        axis = 0 if k % 6 else 1
        pad, end = ([(0, 0), (0, 0)] for _ in range(2))
        pad[axis], end[axis] = (0, 1), (1, 0)
        alive = np.pad(alive * (1 - rate), pad) + np.pad(alive * rate, end)
        n = [alive.shape[0] - 1, alive.shape[1] - 1]
        for i, j in np.argwhere(alive > 1e-12).tolist():
            if n[1] and sure(Count(n[0], i), Count(n[1], j), held, 0.0, Chances(0.1, 0.4), none_left=False):
                stopped += float(alive[i, j])
                alive[i, j] = 0.0
    assert 0 < stopped <= most


def test_the_log_is_a_second_witness() -> None:
    """Far above the log it takes few others to be sure, none of them bad; their own rise, or a log without a baseline, asks for more."""
    limit, most = Guardrail(0.02, 0.01), chances("short", 1, 5)
    assert judged(Count(1_000, 70), Count(20, 0), limit, most) is None
    against, above = judged(Count(300, 90), Count(20, 0), limit, most) or ("", 0.0)
    assert against == "baseline"
    assert 0.02 <= above < 0.3
    assert judged(Count(300, 90), Count(20, 0), limit, chances("start", 1, 5)) is None
    assert judged(Count(300, 90), Count(20, 0), replace(limit, baseline=None), most) is None
    assert judged(Count(300, 90), Count(20, 4), limit, most) is None
    assert judged(Count(300, 90), Count(5, 0), limit, most) is None
    assert judged(Count(300, 90), Count(60, 18), limit, most) is None
    assert judged(Count(300, 90), Count(60, 0), limit, most) is not None
    against, above = judged(Count(9_000, 630), Count(9_000, 90), limit, most) or ("", 0.0)
    assert against == "unrouted"
    assert 0.02 < above < 0.06


def test_where_none_are_left_alone_the_log_is_the_only_yardstick() -> None:
    """By the settings, or among so many answers: then DRIFT above the log is no alarm, more is; and a few bad ones never are."""
    limit, most = Guardrail(0.02, 0.01), chances("start", 1, 5)
    assert judged(Count(1_000, 120), Count(), limit, most, alone=True) is None
    against, above = judged(Count(300, 90), Count(), limit, most, alone=True) or ("", 0.0)
    assert (against, round(above, 4)) == ("baseline", 0.0741)
    assert judged(Count(300, 90), Count(), replace(limit, baseline=None), most, alone=True) is None
    assert judged(Count(NONE_LEFT - 1, 300), Count(), limit, most) is None
    assert judged(Count(NONE_LEFT, 300), Count(), limit, most) is not None
    assert judged(Count(LEAST - 1, LEAST - 1), Count(), limit, most, alone=True) is None
    assert judged(Count(LEAST, LEAST), Count(), limit, most, alone=True) is not None
    assert DRIFT == 0.10
    for app, holdout, found in ((APP, 0.0, False), (replace(APP, share=1.0), 0.0, True), (replace(APP, mode="active"), 0.0, True)):
        assert all_routed(replace(ON, holdout=holdout), app) is found
        assert not all_routed(ON, app)


def test_the_chances_of_all_tests_sum_to_what_is_stated() -> None:
    """However many windows there ever are of any scale: LEVEL over all guardrails, and STALE for each."""
    all_tests = [chances(scale, k, 5) for scale in SCALES for k in range(1, 20_001)]
    assert math.fsum(5 * most.alpha for most in all_tests) == pytest.approx(LEVEL, rel=1e-3)
    assert math.fsum(most.stale for most in all_tests if most.stale > most.alpha) == pytest.approx(STALE, rel=1e-3)


def test_an_alarm_is_raised_from_the_counts_of_all_and_seen_by_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither process has enough alone; together they have, and after one more look each has stopped the app; it is logged once."""
    one, two = guards(tmp_path)
    for guard in (one, two):
        harm(guard, 30, LEAST - 2, others=8)
    with caplog.at_level(logging.WARNING, "planner"):
        one.tick(ON)
        assert one.alarmed == frozenset()
        two.tick(ON)
        one.tick(ON)
    assert one.alarmed == two.alarmed == {"chat"}
    found = json.loads(alarm_file(tmp_path, "chat").read_text("utf-8"))
    assert (found["app"], found["guardrail"], found["against"], found["worker"]) == ("chat", "error", "baseline", "b")
    assert (found["scale"], found["routed"], found["unrouted"]) == ("short", {"n": 96, "hits": 36}, {"n": 16, "hits": 0})
    assert found["margin"] <= found["above"] < 36 / 96
    assert "points worse than others within 10 points of the log's baseline" in found["text"]
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text("utf-8").splitlines()]
    assert [line["guardrail"] for line in lines if line["event"] == "alarm"] == ["error"]
    assert [record.message for record in caplog.records] == [found["text"]]
    assert (tmp_path / "alarms" / "chat.json").stat().st_mode & 0o777 == 0o600


def test_resuming_begins_anew(tmp_path: Path) -> None:
    """While stopped nothing counts; once the file is gone the app runs, old counts raise no alarm, and new bad ones do, at less error."""
    one, two = guards(tmp_path)
    harm(one)
    for guard in (one, two, one):
        guard.tick(ON)
    assert one.alarmed == two.alarmed == {"chat"}
    first = json.loads(alarm_file(tmp_path, "chat").read_text("utf-8"))
    observe(two, "routed", 0, 100)
    two.tick(ON)
    alarm_file(tmp_path, "chat").unlink()
    for _ in range(3):
        for guard in (one, two):
            guard.tick(ON)
            assert guard.alarmed == frozenset()
    (three,) = guards(tmp_path, "c")
    assert three.alarmed == frozenset()
    harm(three)
    three.tick(ON)
    assert three.alarmed == {"chat"}
    assert json.loads(alarm_file(tmp_path, "chat").read_text("utf-8"))["alpha"] == pytest.approx(first["alpha"] / 3)


def test_resuming_begins_anew_where_the_windows_could_not_be_changed_at_once(tmp_path: Path) -> None:
    """An alarm that comes while others hold the windows' lock ends its counts at a later look: taken back, it does not come again."""
    one, _ = guards(tmp_path)
    harm(one)
    with locked(tmp_path / ".windows.json.lock"):
        one.tick(ON)
    assert one.alarmed == {"chat"}
    one.tick(ON)
    alarm_file(tmp_path, "chat").unlink()
    (three,) = guards(tmp_path, "c")
    for guard in (one, three) * 2:
        guard.tick(ON)
        assert guard.alarmed == frozenset()
    harm(one)
    one.tick(ON)
    assert one.alarmed == {"chat"}


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    """Counts under another share are no part of the test, and coming back to the old one does not bring them back."""
    (guard,) = guards(tmp_path, "a")
    harm(guard, 100, LEAST - 1)
    guard.tick(ON)
    more_routed = replace(ON, apps={"chat": replace(APP, share=0.6)})
    for rollout in (more_routed, ON):
        guard.tick(rollout)
        observe(guard, "routed", 0, 1)
        guard.tick(rollout)
        assert guard.alarmed == frozenset()
    assert json.loads((tmp_path / "windows.json").read_text("utf-8"))["chat"][1:] == [3, 3, 3]


def test_another_router_begins_anew(tmp_path: Path) -> None:
    """After 30,000 good answers a router that fails always is stopped within 80 of its own, also where an earlier one is put back."""
    state, needed = tmp_path / "state", []
    guard = Guard(state, "a")
    for version in ("first", "second", "first"):
        guard.tick(ON, version)
        assert guard._tallies.of("chat", guard._now["chat"])["start"] == {}
        for n in range(20, 2_000, 20):
            observe(guard, "routed", 0, 19)
            observe(guard, "holdout", 1, 0)
            guard.tick(ON, version)
            if guard.alarmed:
                needed.append(n)
                break
        alarm_file(state, "chat").unlink()
        guard.tick(ON, version)
        guard.tick(ON, version)
        observe(guard, "routed", 28_500, 0)
        observe(guard, "holdout", 1_500, 0)
        guard.tick(ON, version)
    assert len(needed) == 3
    assert max(needed) <= 80


def test_the_start_of_another_router_costs_a_share_of_the_error(tmp_path: Path) -> None:
    """Numbers only rise over routers, so that all false alarms together keep their level however often one is exchanged."""
    guard, seen = Guard(tmp_path, "a"), []
    for version in ("first", "second", "first"):
        guard.tick(ON, version)
        seen.append(guard._now["chat"].start)
    assert seen == [1, 2, 3]


def test_a_process_that_is_late_counts_nothing_and_changes_nothing(tmp_path: Path) -> None:
    """While one process has seen new settings and another has not, windows do not flap: the late one waits, then joins."""
    one, two = guards(tmp_path)
    new = replace(ON, apps={"chat": replace(APP, share=0.9)})
    one.tick(new)
    for _ in range(5):
        observe(two, "routed", 0, 50)
        two.tick(ON)
        one.tick(new)
    assert json.loads((tmp_path / "windows.json").read_text("utf-8"))["chat"][1:] == [2, 2, 2]
    assert two.alarmed == frozenset()
    two.tick(new)
    harm(two, 0, 50)
    two.tick(new)
    assert two.alarmed == {"chat"}


def test_slow_length_schema_and_arms_are_counted_as_they_are_said(tmp_path: Path) -> None:
    """Failures have no latency or format, unknown formats do not count, and arms that nobody drew are left out."""
    (guard,) = guards(tmp_path, "a")
    outcomes = [Outcome(False, 9_000.0, False, None), Outcome(False, 9_001.0, True, False), Outcome(False, None, False, True), BAD]
    for arm in ("routed", "holdout", "control", "shadow", "stopped", "pinned"):
        for outcome in outcomes:
            guard.observe("chat", arm, outcome)
    guard.observe("unknown", "routed", BAD)
    guard.tick(ON)
    rows = json.loads((tmp_path / "counts" / "a.json").read_text("utf-8"))
    each = {"error": [4, 1], "fallback": [3, 0], "length": [3, 1], "slow": [2, 1], "schema": [2, 1]}
    wanted = {f"{arm} {metric}": count for arm in ("routed", "holdout", "control") for metric, count in each.items()}
    assert rows == [["chat", scale, 1, wanted] for scale in SCALES]


def test_an_app_with_any_name_has_one_file_in_the_folder(tmp_path: Path) -> None:
    """Names with slashes, dots, other scripts or a thousand letters never leave the folder, never clash, and stop the app."""
    names = ["a/b", "..", ".", "../x", "a%2Fb", "ü" * 500, "ü" * 501, "\ud800", "A" * 99]
    files = [alarm_file(tmp_path, name) for name in names]
    assert len(set(files)) == len(names)
    rollout = replace(ON, apps=dict.fromkeys(names, APP))
    for file in files:
        assert file.parent == tmp_path / "alarms"
        file.parent.mkdir(exist_ok=True)
        file.write_text("", "utf-8")
    guard = Guard(tmp_path, "a")
    guard.tick(rollout)
    assert guard.alarmed == frozenset(names)


def test_where_nothing_can_be_written_the_process_still_stops_its_app(tmp_path: Path) -> None:
    """With a file where the folder should be, counts and alarm stay in memory, each failure is counted; once there is room all see it."""
    state = tmp_path / "state"
    state.write_text("no folder", "utf-8")
    one, two = guards(state)
    harm(one)
    for guard in (one, two, one):
        guard.tick(ON)
    assert (one.alarmed, two.alarmed) == ({"chat"}, frozenset())
    assert {event for event, _ in one.events.totals} >= {"counts not written", "windows not written", "alarm not written"}
    state.unlink()
    one.tick(ON)
    two.tick(ON)
    assert one.alarmed == two.alarmed == {"chat"}
    assert json.loads(alarm_file(state, "chat").read_text("utf-8"))["routed"] == {"n": 140, "hits": 40}


def test_damaged_files_stop_nothing(tmp_path: Path) -> None:
    """Whatever stands in windows, feedback and counts, a look ends well and alarms still come."""
    (guard,) = guards(tmp_path, "a")
    (tmp_path / "windows.json").write_text('{"chat": 3}', "utf-8")
    (tmp_path / "feedback.jsonl").write_text('{"id": 1}\n[]\n{"id": {}, "thumb": "sideways"}\n\x00\n', "utf-8")
    (tmp_path / "counts").mkdir()
    (tmp_path / "counts" / "x.json").write_text('[["chat", "start", 1, {"routed error": [3, 4]}]]', "utf-8")
    (tmp_path / "counts" / "y.json").write_text("{", "utf-8")
    harm(guard)
    guard.tick(ON)
    assert guard.alarmed == {"chat"}
    told = guard.events.totals
    assert told["counts unreadable", "ValueError"] == 1
    assert told["counts unreadable", "JSONDecodeError"] == 1
    assert told["feedback", "a line that is no thumb"] == 4


def test_thumbs_go_to_the_arm_of_their_request(tmp_path: Path) -> None:
    """Thumbs by either id count once, in the process that had the request; strangers' and earlier ones do not; an alarm comes of them."""
    feedback = tmp_path / "feedback.jsonl"
    feedback.write_text('{"id": "call-0", "thumb": "down"}\n', "utf-8")
    one, two = guards(tmp_path)
    for i in range(300):
        (one, two)[i % 2].observe("chat", "routed", GOOD, (f"call-{i}", f"chatcmpl-{i}"))
    for i in range(30):
        one.observe("chat", "control", GOOD, (f"left-{i}",))
    with feedback.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": f"left-{i}", "thumb": "up"}) + "\n" for i in range(30))
        for i in range(0, 300, 2):
            for name in (f"chatcmpl-{i}", f"call-{i}", f"call-{i}", f"stranger-{i}"):
                file.write(json.dumps({"id": name, "thumb": "down"}) + "\n")
        file.write('{"id": "call-1", "thumb"')
    two.tick(ON)
    assert two.alarmed == frozenset()
    one.tick(ON)
    assert one.alarmed == {"chat"}
    found = json.loads(alarm_file(tmp_path, "chat").read_text("utf-8"))
    assert (found["guardrail"], found["routed"]) == ("thumbs_down", {"n": 150, "hits": 150})
    with feedback.open("a", encoding="utf-8") as file:
        file.write(': "up"}\n')
    alarm_file(tmp_path, "chat").unlink()
    two.tick(ON)
    assert '"routed thumbs_down"' not in (tmp_path / "counts" / "b.json").read_text("utf-8"), "what was asked before the alarm is over"


def test_only_the_latest_requests_are_remembered_for_thumbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more ids than are kept the oldest are forgotten, so that memory does not grow."""
    monkeypatch.setattr("planner.router.guard_feedback._MOST_IDS", 10)
    (guard,) = guards(tmp_path, "a")
    for i in range(40):
        guard.observe("chat", "control", GOOD, (f"c{i}", f"r{i}"))
    lines = [json.dumps({"id": f"c{i}", "thumb": "up"}) + "\n" for i in range(40)]
    (tmp_path / "feedback.jsonl").write_text("".join(lines), "utf-8")
    guard.tick(ON)
    rows = json.loads((tmp_path / "counts" / "a.json").read_text("utf-8"))
    assert rows[0][3]["control thumbs_down"] == [5, 0]


def test_the_benchmark_prints_what_it_says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The object has the stated rate, and a line a scenario with the share stopped and the requests it took, from the fault on."""
    monkeypatch.setattr(benchmark, "NULLS", (Scenario("alike", 300, 0.5),))
    monkeypatch.setattr(benchmark, "STALES", (Scenario("far", 300, 0.95, risen=more(error=30)),))
    monkeypatch.setattr(benchmark, "FAULTS", (Scenario("outage", 3_000, 0.5, more(error=80), since=1_000),))
    monkeypatch.setattr(benchmark, "CLUSTERS", (Scenario("whole", 300, 0.5, session=5, together=1.0, logged=300),))
    monkeypatch.setattr(benchmark, "WEAKER", (Scenario("weaker", 2_000, 0.5, more(error=80), session=5, together=1.0, logged=2_000),))
    assert benchmark.main(["--paths", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stated_false_alarm_rate"], found["stated_more_where_stale"]) == (LEVEL, STALE)
    (null,), (stale,), (fault,) = found["no_fault"], found["no_fault_stale_log"], found["fault"]
    assert [row["stopped"] for name in ("no_fault_whole_sessions", "fault_whole_sessions") for row in found[name]] == [0.0, 1.0]
    assert (stale["scenario"], stale["rollouts"]) == ("far", 20)
    assert (null["scenario"], null["rollouts"], null["stopped"], null["requests_p50"]) == ("alike", 20, 0.0, None)
    assert (fault["rollouts"], fault["stopped"], fault["stopped_before"]) == (20, 1.0, 0.0)
    assert 2 * LEAST * 0.8 < fault["requests_p50"] <= fault["requests_p95"] < 2_000
    assert benchmark.main(["--paths", "20"]) == 0
    assert "outage: stopped 100.00% of 20; after" in capsys.readouterr().out


def test_without_jsonschema_it_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A guardrail that cannot be counted in a bare installation is named in the log and in the events."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    (guard,) = guards(tmp_path, "a")
    guard.tick(ON)
    assert [r.message for r in caplog.records if "jsonschema" in r.message] == [
        "The guardrail 'schema' does not count answers to a JSON schema: jsonschema is not installed."
    ]
    assert "jsonschema is not installed" in (tmp_path / "events.jsonl").read_text("utf-8")
