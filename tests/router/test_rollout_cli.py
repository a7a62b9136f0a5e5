"""``planner rollout``: what it writes, what it says, and that it waits for the running processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.steered import BIG, MINI, exported, rollout
from typer.testing import CliRunner

from planner.bundle import gateway_back
from planner.bundle.gateway_back import put_back
from planner.cli import rollout as verb
from planner.errors import InputError
from planner.router.events import Events
from planner.router.guard_files import locked
from planner.router.guardrails import alarm_file
from planner.router.live import STOP, Live
from planner.router.load import read_manifest
from planner.router.rollout import Guardrail, read, write
from planner.router.status import status
from planner.router.tallies import Outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an exported folder whose app ``chat`` is in shadow."""
    return exported(tmp_path / "production", rollout("shadow", guardrails={"error": Guardrail(0.1, 0.1)}))


@pytest.fixture
def workers(folder: Path) -> Iterator[list[Live]]:
    """Let three processes' worth of watchers run the folder."""
    found = [Live.started(folder) for _ in range(3)]
    yield found
    for live in found:
        live.stop()


def run(*arguments: str | Path, code: int = 0) -> Any:
    """Run the verb; return its JSON object."""
    done = CliRunner().invoke(verb.app, [*map(str, arguments), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.output)


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until ``condition()``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_an_app_is_turned_up_and_every_process_follows(folder: Path, workers: list[Live]) -> None:
    """``set`` changes what is named and nothing else, and returns when all three run it."""
    before = read(folder / "rollout.json")
    said = run("set", folder, "--app", "chat", "--mode", "canary", "--share", "0.25")
    after = read(folder / "rollout.json")
    assert (after.apps["chat"].mode, after.apps["chat"].share, after.apps["chat"].asks) == ("canary", 0.25, before.apps["chat"].asks)
    assert (after.salt, after.holdout, after.apps["quiet"]) == (before.salt, before.holdout, before.apps["quiet"])
    assert (said["workers"], said["followed"]) == (3, 3)
    assert said["seconds"] < 5
    assert all(live.rollout == after for live in workers)


def test_stop_and_resume_take_seconds(folder: Path, workers: list[Live]) -> None:
    """``stop`` returns when every process has stopped, ``resume`` when every one runs again, also where the rollout itself says stop."""
    run("set", folder, "--app", "chat", "--mode", "active")
    said = run("stop", folder)
    assert (said["followed"], (folder / STOP).exists()) == (3, True)
    assert said["seconds"] < 5
    assert all((on := live.on("chat")) and on.stopped for live in workers)
    text = (folder / "rollout.json").read_text("utf-8")
    (folder / "rollout.json").write_text(text.replace('"stop": false', '"stop": true'), "utf-8")
    said = run("resume", folder)
    assert (said["followed"], (folder / STOP).exists(), read(folder / "rollout.json").stop) == (3, False, False)
    assert all((on := live.on("chat")) and not on.stopped for live in workers)


def test_stop_works_where_the_rollout_is_broken(folder: Path, workers: list[Live]) -> None:
    """The kill switch needs nothing but the folder: it works with a rollout.json that nobody can read."""
    (folder / "rollout.json").write_text("{", "utf-8")
    assert run("stop", folder)["followed"] == 3
    assert "rollout.json" in run("show", folder, code=1)["problem"]


def test_a_process_that_does_not_follow_is_said(folder: Path, workers: list[Live], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process lives and does not stop in time, the verb says how many did and leaves with 1."""
    monkeypatch.setattr(verb, "WAIT_S", 3.0)
    deaf = workers[0]
    deaf._pulse.stop()
    sign, ended = deaf._sign, threading.Event()

    def alive() -> None:
        while not ended.is_set():
            sign.touch()
            time.sleep(0.1)

    thread = threading.Thread(target=alive)
    thread.start()
    said = run("stop", folder, code=1)
    ended.set()
    thread.join()
    assert (said["workers"], said["followed"]) == (3, 2)
    assert "Only 2 of 3" in said["text"]


def test_without_processes_it_says_so(folder: Path) -> None:
    """Nobody runs the folder: files are written, nothing is waited for."""
    said = run("stop", folder)
    assert (said["workers"], said["seconds"] < 2) == (0, True)
    assert "No process" in said["text"]


def test_an_alarm_is_taken_back(folder: Path, workers: list[Live]) -> None:
    """An alarm shows, survives ``resume`` without an app, and ends with ``resume --app`` in every process."""
    alarm = alarm_file(folder / "state", "chat")
    alarm.parent.mkdir(parents=True, exist_ok=True)
    alarm.write_text(json.dumps({"text": "App 'chat': error: too many"}), "utf-8")
    until(lambda: all(live.guard.alarmed for live in workers))
    assert run("show", folder, code=1)["alarms"] == {"chat": "App 'chat': error: too many"}
    set_ = run("set", folder, "--app", "chat", "--mode", "canary")
    assert set_["followed"] == 3
    assert f"an alarm keeps chat stopped until you run: planner rollout resume {folder} --app chat" in set_["text"]
    assert "chat" in run("resume", folder)["text"]
    assert alarm.exists()
    assert run("resume", folder, "--app", "chat")["followed"] == 3
    assert not any(live.guard.alarmed for live in workers)


def test_show_says_what_there_is(folder: Path, workers: list[Live]) -> None:
    """Modes, processes, counts by arm over all of them, and events; for people as text of at most 100 columns."""
    run("set", folder, "--app", "chat", "--mode", "canary")
    until(lambda: all((window := live.guard._now.get("chat")) and window.start == 2 for live in workers))
    for live in workers:
        for arm in ("routed", "holdout"):
            live.guard.observe("chat", arm, Outcome(arm == "routed", 1.0, False, None))
        live.events.count("hook", "KeyError")
    until(lambda: sum(c["answers"] for c in run("show", folder)["counts"] if c["metric"] == "error") == 6)
    found = run("show", folder)
    assert found["rollout"]["apps"]["chat"]["mode"] == "canary"
    assert {w["version"] for w in found["workers"]} == {workers[0].bundle.router.version if workers[0].bundle else None}
    counts = {(c["arm"], c["metric"]): (c["answers"], c["bad"]) for c in found["counts"] if c["app"] == "chat"}
    assert (counts["routed", "error"], counts["holdout", "error"]) == ((3, 3), (3, 0))
    assert found["events"] == [{"event": "hook", "kind": "KeyError", "count": 3}]
    text = CliRunner().invoke(verb.app, ["show", str(folder)]).output
    assert max(map(len, text.splitlines())) <= 100
    for word in ("canary", "this rollout", "3 × hook: KeyError", "Holdout: 20.0%"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--app", "caht", "--mode", "active"), "did you mean 'chat'"),
        (("--app", "chat"), "nothing to change"),
        (("--app", "chat", "--mode", "canery"), "did you mean 'canary'"),
        (("--app", "chat", "--share", "12"), "share 12"),
        (("--app", "chat", "--explore", "0.1"), "without floor_passed"),
        (("--app", "chat", "--mode", "mirror"), "mode 'mirror' without mirror"),
        (("--app", "chat", "--holdout", "-1"), "holdout -1"),
        (("--app", "chat", "--ask", "nogroup"), "one of assistant, gpt-5, gpt-5-mini, gpt-5-nano"),
        (("--app", "chat", "--ask", "gpt5-mini"), "did you mean 'gpt-5-mini'"),
        (("--app", "chat", "--ask", "nogroup"), "our own proxy configuration has it: --ask-own nogroup"),
    ],
)
def test_what_cannot_be_set_is_said_and_nothing_is_written(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    """A wrong app, mode or number is refused in one sentence, and the rollout stays as it was."""
    before = (folder / "rollout.json").read_bytes()
    with pytest.raises(InputError) as caught:
        run("set", folder, *arguments)
    assert said in str(caught.value).replace("Did", "did")
    assert (folder / "rollout.json").read_bytes() == before


def test_mirror_and_new_apps_are_set_by_their_options(folder: Path) -> None:
    """A mirror begins with its share and budget; an app that is not listed begins where it is said what it asks for."""
    run("set", folder, "--app", "chat", "--mode", "mirror", "--mirror-share", "0.1", "--mirror-usd-per-day", "3")
    run("set", folder, "--app", "new", "--mode", "shadow", "--ask", BIG, "--ask", MINI)
    apps = read(folder / "rollout.json").apps
    mirror = apps["chat"].mirror
    assert mirror is not None
    assert (mirror.share, mirror.usd_per_day, apps["chat"].mode) == (0.1, 3.0, "mirror")
    assert (apps["new"].mode, apps["new"].asks) == ("shadow", (BIG, MINI))


def test_commands_at_once_lose_nothing(folder: Path) -> None:
    """Of eight commands at once, each changing another app, every change is in the rollout after."""
    script = "import sys; from planner.cli.rollout import app; app()"
    for i in range(8):
        run("set", folder, "--app", f"app-{i}", "--mode", "off", "--ask", BIG)
    command = [sys.executable, "-c", script, "set", str(folder), "--mode", "shadow", "--app"]
    running = [subprocess.Popen([*command, f"app-{i}"], stdout=subprocess.DEVNULL) for i in range(8)]
    assert [one.wait(120) for one in running] == [0] * 8
    assert {read(folder / "rollout.json").apps[f"app-{i}"].mode for i in range(8)} == {"shadow"}


def test_a_folder_held_by_another_command_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one command changes the rollout, another waits, and says so where that lasts too long."""
    monkeypatch.setattr(verb, "WAIT_S", 0.1)
    with locked(folder), pytest.raises(InputError, match="another command"):
        run("set", folder, "--app", "chat", "--mode", "off")
    assert read(folder / "rollout.json").apps["chat"].mode == "shadow"


def test_a_broken_rollout_is_said_with_a_command_that_works(folder: Path) -> None:
    """What to do about a rollout.json that cannot be read is no command that cannot read it either."""
    (folder / "rollout.json").write_text("{broken", "utf-8")
    with pytest.raises(InputError) as caught:
        run("set", folder, "--app", "chat", "--mode", "off")
    assert caught.value.fix == "correct it, or run: planner rollout stop"
    run("stop", folder)


@pytest.mark.parametrize("what", ["show", "stop", "resume"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    """A folder without an export in it is named, and nothing is written into it."""
    with pytest.raises(InputError, match="planner export"):
        run(what, tmp_path)
    assert not any(tmp_path.iterdir())


def test_damaged_state_is_left_out(folder: Path) -> None:
    """Torn signs of life, counts, windows, alarms and events: show still says the rest."""
    state = folder / "state"
    for name in ("workers/x.json", "counts/x.json", "windows.json"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("{torn", "utf-8")
    alarm = alarm_file(state, "chat")
    alarm.parent.mkdir(parents=True)
    alarm.write_text("", "utf-8")
    events = Events(state / "events.jsonl", "w")
    events.count("hook", "KeyError")
    events.flush()
    with (state / "events.jsonl").open("a") as file:
        file.write('{"event": "torn')
    found = status(folder)
    assert found.alarms == {"chat": ""}
    assert found.workers == ()
    assert found.events == {("hook", "KeyError"): 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("windows.json", '{"chat": 5}'),
        ("windows.json", '{"chat": ["m", 1, 1, 9, 9]}'),
        ("events.jsonl", '{"event": "x", "count": "many"}\n'),
        ("workers/x.json", '{"worker": "x", "alarmed": 5}'),
    ],
)
def test_state_that_is_no_state_is_left_out(folder: Path, name: str, text: str) -> None:
    """JSON of another shape in any file of the state: show says the rest."""
    (folder / "state" / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "state" / name).write_text(text, "utf-8")
    found = status(folder)
    assert (found.counts, found.events) == ({}, {})
    assert found.rollout is not None


def _aged(folder: Path) -> None:
    other = replace(read(folder / "rollout.json"), holdout=0.3)
    write(folder / "rollout.json", other)


def _alarm(folder: Path) -> None:
    file = alarm_file(folder / "state", "chat")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"text": "App 'chat': error: too many"}), "utf-8")


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (lambda folder: shutil.rmtree(folder / "bundle"), "bundle"),
        (lambda folder: (folder / "bundle" / "weights.npz").write_bytes(b"PK"), "weights.npz was changed"),
        (lambda folder: (folder / "rollout.json").write_text("{", "utf-8"), "keep the last one they could read"),
        (lambda folder: (folder / "rollout.json").unlink(), "everything goes as asked"),
        (_aged, "1 of 1 running processes run another rollout than the file's"),
        (lambda folder: exported(folder, tau=0.5) and None, "1 of 1 running processes run another bundle than the folder's"),
        (lambda folder: (folder / STOP).touch(), "1 of 1 running processes have not stopped yet"),
        (_alarm, "chat is stopped by an alarm"),
    ],
)
def test_show_says_what_is_not_as_set_and_leaves_with_1(folder: Path, breaks: Callable[[Path], None], said: str) -> None:
    """A process runs as set, and show leaves with 0; whatever then is otherwise than the folder says is named, and it leaves with 1."""
    live = Live(folder)
    found = run("show", folder)
    assert (found["as_set"], found["not_as_set"]) == (True, [])
    breaks(folder)
    found = run("show", folder, code=1)
    assert not found["as_set"]
    assert said in " ".join(found["not_as_set"])
    text = CliRunner().invoke(verb.app, ["show", str(folder)]).output
    assert "running as set" not in text.replace("NOT running as set", "")
    live.stop()


def test_nobody_who_runs_it_is_not_as_set_and_a_stop_that_holds_is(folder: Path) -> None:
    """Without a process show leaves with 1; once stopped, with 0, for that is what was told."""
    assert run("show", folder, code=1)["not_as_set"] == ["no process of a gateway runs this folder now"]
    (folder / STOP).touch()
    live = Live(folder)
    assert run("show", folder)["stopped"] is True
    live.stop()


def test_show_says_how_many_fell_back(folder: Path) -> None:
    """Answers of another group than the one decided are counted by arm and said; they are errors of that arm."""
    live = Live(folder)
    for arm, fell in (("routed", True), ("routed", False), ("holdout", False)):
        live.guard.observe("chat", arm, Outcome(False, 1.0, False, None, fell))
    live._ticked = -10.0
    live._beat()
    found = run("show", folder)
    assert found["fell_back"] == [{"app": "chat", "arm": "routed", "answers": 2, "fell_back": 1}]
    assert {"app": "chat", "arm": "routed", "metric": "error", "answers": 2, "bad": 1} in found["counts"]
    assert "1 of 2 answers of chat (routed) fell back" in CliRunner().invoke(verb.app, ["show", str(folder)]).output
    live.stop()


def test_resume_of_an_unknown_app_says_which_there_are(folder: Path) -> None:
    """An app that is not in the rollout is refused with the names of those that are, and no word of what a new one would need."""
    with pytest.raises(InputError) as caught:
        run("resume", folder, "--app", "nope")
    assert (caught.value.expected, caught.value.fix) == ("one of chat, quiet", "")


def test_what_is_set_under_a_stop_says_so(folder: Path) -> None:
    """While STOP is there, set says that everything stays stopped."""
    (folder / STOP).touch()
    assert "everything is stopped until you run" in run("set", folder, "--app", "chat", "--mode", "canary")["text"]


def test_a_group_of_a_configuration_beside_the_bundle_may_be_asked_for(folder: Path) -> None:
    """What people add to the configuration that was exported is known."""
    (folder / "config.yaml").write_text("model_list: [{model_name: mine, litellm_params: {model: openai/x}}]", "utf-8")
    run("set", folder, "--app", "chat", "--ask", "mine")
    assert read(folder / "rollout.json").apps["chat"].asks == ("mine",)


def test_a_group_of_the_users_own_proxy_may_be_asked_for_where_that_is_said(folder: Path) -> None:
    """The page tells to merge into one's own configuration, which no file here lists: its groups are named with an option of their own."""
    run("set", folder, "--app", "chat", "--ask", BIG, "--ask-own", "our-assistant")
    assert read(folder / "rollout.json").apps["chat"].asks == (BIG, "our-assistant")
    told = CliRunner().invoke(verb.app, ["set", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "of your own proxy configuration" in " ".join(told.split())


@pytest.mark.parametrize("at_once", [True, False])
def test_the_router_before_is_put_back_any_number_of_times(
    folder: Path, workers: list[Live], at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times in a row the two bundles change places, processes follow, nothing is nested or left; also without the system's help."""
    if not at_once:
        monkeypatch.setattr(gateway_back, "_exchanged", lambda *_: False)
    shutil.copytree(folder / "bundle", folder.parent / "one")
    exported(folder.parent / "other", tau=1.0)
    shutil.copytree(folder.parent / "other" / "bundle", folder / "bundle.previous")
    digests = [read_manifest(folder / name)[0]["digest"] for name in ("bundle.previous", "bundle")]
    names = {p.name for p in folder.iterdir()}
    for k in range(4):
        done = run("back", folder)
        assert done["followed"] == 3
        assert digests[k % 2][:12] in done["text"]
        assert [read_manifest(folder / name)[0]["digest"] for name in ("bundle", "bundle.previous")] == [digests[k % 2], digests[1 - k % 2]]
        assert {p.name for p in folder.iterdir()} - {"state"} == names - {"state"}


@pytest.mark.parametrize("step", range(3))
def test_a_change_of_places_that_is_killed_is_ended_by_the_next(folder: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between any two of its renames, the next time ends it: two whole bundles are there, one of them in force."""
    exported(folder.parent / "other", tau=1.0)
    shutil.copytree(folder.parent / "other" / "bundle", folder / "bundle.previous")
    digests = {read_manifest(folder / name)[0]["digest"] for name in ("bundle.previous", "bundle")}
    monkeypatch.setattr(gateway_back, "_exchanged", lambda *_: False)
    left, rename = [step], Path.rename

    def killed(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            put_back(folder)
    digest = put_back(folder)
    assert read_manifest(folder / "bundle")[0]["digest"] == digest
    assert {read_manifest(folder / name)[0]["digest"] for name in ("bundle.previous", "bundle")} == digests


def test_only_a_whole_bundle_is_put_back(folder: Path) -> None:
    """Without one before, or with a damaged one, nothing changes and it is said."""
    with pytest.raises(InputError, match=r"no bundle\.previous"):
        run("back", folder)
    shutil.copytree(folder / "bundle", folder / "bundle.previous")
    (folder / "bundle.previous" / "weights.npz").write_bytes(b"")
    before = (folder / "bundle" / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="a whole bundle"):
        run("back", folder)
    assert (folder / "bundle" / "manifest.json").read_bytes() == before
    with pytest.raises(InputError, match="expected a folder that"):
        run("back", folder / "nowhere")
    assert not (folder / "nowhere").exists()
