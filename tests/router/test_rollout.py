"""rollout.json: what is accepted, what is refused in one sentence, and that no reader ever sees half a file."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.formats import header
from planner.router.rollout import GUARDRAILS, MODES, AppRollout, Guardrail, Mirroring, Rollout, read, write

SHARES = st.floats(0, 1)
NAMES = st.text(min_size=1, max_size=12)
MODELS = st.lists(NAMES, min_size=1, max_size=4, unique=True).map(tuple)
GUARDS = st.dictionaries(
    st.sampled_from([g for g in GUARDRAILS if g != "slow"]), st.builds(Guardrail, margin=SHARES, baseline=SHARES | st.none())
) | st.fixed_dictionaries({"slow": st.builds(Guardrail, SHARES, SHARES, st.floats(1, 1e6))})
APPS = st.builds(
    AppRollout,
    mode=st.sampled_from(MODES),
    share=SHARES,
    explore=SHARES,
    asks=MODELS,
    floor_passed=MODELS,
    mirror=st.builds(Mirroring, SHARES, st.floats(0, 1e6), st.none() | NAMES),
    guardrails=GUARDS,
)
ROLLOUTS = st.builds(
    Rollout,
    salt=NAMES,
    holdout=SHARES,
    app_from=st.sampled_from([None, "team", "key", "model_group", "tag:app", "metadata:service"]),
    stop=st.booleans(),
    apps=st.dictionaries(NAMES, APPS, max_size=3),
)


def payload(**changed: Any) -> dict[str, Any]:
    """Return a sound rollout with one app ``chat``; a key with a dot changes the app."""
    whole: dict[str, Any] = Rollout("3f9a01c2", apps={"chat": AppRollout("canary", 0.1, asks=("gpt-5",))}).state()
    for name, value in changed.items():
        place, _, field = name.rpartition("__")
        (whole["apps"]["chat"] if place else whole)[field] = value
    return whole


@given(ROLLOUTS)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rollout: Rollout) -> None:
    """A rollout survives its JSON, whatever its names and numbers are."""
    path = write(tmp_path_factory.getbasetemp() / "rollout.json", rollout)
    assert read(path) == rollout


def test_the_header_says_what_it_is() -> None:
    """A written rollout begins with format planner.rollout, version 1."""
    assert {**payload(), **header("rollout")} == payload()
    assert header("rollout") == {"format": "planner.rollout", "version": 1}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": 2}, "at most 1"),
        ({"format": "planner.plan"}, "a planner.rollout file"),
        ({"salt": 7}, "salt 7"),
        ({"salt": ""}, "salt ''"),
        ({"holdout": 1.5}, "holdout 1.5; expected a number from 0 to 1"),
        ({"holdout": float("nan")}, "holdout nan"),
        ({"holdout": True}, "holdout True"),
        ({"stop": "yes"}, "stop 'yes'; expected true or false"),
        ({"app_from": "tags:app"}, "did you mean 'tag'"),
        ({"app_from": "tag"}, "tag:PREFIX"),
        ({"app_from": "team:x"}, "app_from 'team:x'"),
        ({"app_from": 3}, "app_from 3"),
        ({"aps": {}}, "aps; expected one of salt"),
        ({"apps": []}, "apps []"),
        ({"apps": {"chat": "on"}}, "apps.chat 'on'"),
        ({"app__mode": "canery"}, "apps.chat: mode 'canery'; expected one of off, shadow, mirror, canary, active. Did you mean 'canary'?"),
        ({"app__share": "10 %"}, "apps.chat: share '10 %'"),
        ({"app__share": -0.1}, "apps.chat: share -0.1"),
        ({"app__explore": 2}, "apps.chat: explore 2"),
        ({"app__explore": 0.1}, "explore 0.1 without floor_passed"),
        ({"app__asks": "gpt-5"}, "asks 'gpt-5'; expected a list of model groups"),
        ({"app__asks": ["gpt-5", "gpt-5"]}, "each once"),
        ({"app__asks": [1]}, "asks (1,)"),
        ({"app__floor_passed": {"a": 1}}, "floor_passed"),
        ({"app__mode": "mirror"}, "mode 'mirror' without mirror"),
        ({"app__mirror": 3}, "apps.chat.mirror 3; expected an object"),
        ({"app__mirror": {"share": 0.1}}, "apps.chat.mirror without usd_per_day"),
        ({"app__mirror": {"share": 0.1, "usd_per_day": -1}}, "usd_per_day -1"),
        ({"app__mirror": {"share": 0.1, "usd_per_day": 1, "model": ""}}, "model ''"),
        ({"app__mirror": {"share": 0.1, "usd_a_day": 1}}, "did you mean 'usd_per_day'?"),
        ({"app__guardrails": []}, "apps.chat.guardrails []"),
        ({"app__guardrails": {"eror": {"margin": 0, "baseline": 0}}}, "did you mean 'error'?"),
        ({"app__guardrails": {"error": {"baseline": 0.1}}}, "apps.chat.guardrails.error without margin"),
        ({"app__guardrails": {"error": {"margin": 2, "baseline": 0}}}, "apps.chat.guardrails.error: margin 2"),
        ({"app__guardrails": {"slow": {"margin": 0.1, "baseline": 0}}}, "guardrails.slow.limit_ms None"),
        ({"app__guardrails": {"error": {"margin": 0.1, "baseline": 0, "limit_ms": 5}}}, "guardrails.error.limit_ms 5"),
        ({"app__guardrails": {"slow": {"margin": 0.1, "baseline": 0, "limit_ms": 0}}}, "limit_ms 0"),
        ({"app__colour": 1}, "apps.chat: colour"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    """Every wrong field is refused with the file, the field and what would be right."""
    path = tmp_path / "rollout.json"
    path.write_text(json.dumps(payload(**changed)), "utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    assert said.lower() in str(caught.value).lower()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{} {}", "\x00", "[" * 100_000])
def test_what_is_no_rollout_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever else stands in the file is refused with its name."""
    path = tmp_path / "rollout.json"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"rollout\.json"):
        read(path)


def test_a_rollout_without_salt_is_refused() -> None:
    """Nobody is drawn by a salt that was made up while reading: each process would draw another."""
    whole = payload()
    del whole["salt"]
    with pytest.raises(InputError, match="no salt"):
        Rollout.of(whole, "rollout.json")


def test_no_file_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    """Without a file reading says so by its own error, as it means that nothing is on."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "rollout.json")


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    """While one writes, others read either the old rollout or the new one, and no other file is left behind."""
    small, large = Rollout("a"), Rollout("b", apps={f"app {i}": AppRollout(asks=("gpt-5",)) for i in range(400)})
    path, ended, seen = write(tmp_path / "rollout.json", small), threading.Event(), []

    def look() -> None:
        while not ended.is_set():
            seen.append(read(path))

    reader = threading.Thread(target=look)
    reader.start()
    for i in range(40):
        write(path, small if i % 2 else large)
    ended.set()
    reader.join()
    assert seen
    assert all(found in (small, large) for found in seen)
    assert [f.name for f in tmp_path.iterdir()] == ["rollout.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk fails, the old rollout stays and nothing lies beside it."""
    path = write(tmp_path / "rollout.json", Rollout("a"))
    monkeypatch.setattr("os.fsync", _full)
    with pytest.raises(OSError, match="no space"):
        write(path, Rollout("b"))
    assert read(path) == Rollout("a")
    assert [f.name for f in tmp_path.iterdir()] == ["rollout.json"]


def _full(_: int) -> None:
    raise OSError("no space left")
