"""apps.yaml: what a log lets one guess, and a file that says where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small import traffic_of

from planner.errors import InputError
from planner.traffic import App, Apps

_NIGHTS = [t for d in range(1, 6) for t in pd.date_range(f"2026-10-0{d} 02:00", periods=20, freq="min", tz="UTC")]
_HEAD = "format: planner.apps\nversion: 1\n"


def _draft(folder: Path, **columns: Any) -> App:
    base = {"app": "a", "model": "gpt-9", "provider": "openai", "timestamp": _NIGHTS, "tags": '["x","team:care"]'}
    return Apps.draft(traffic_of(folder, base | columns))["a"]


def test_a_nightly_burst_may_wait(tmp_path: Path) -> None:
    """Five nights of requests in the same hour, no stream, no session: it may wait a day, and all of that is assumed."""
    app = _draft(tmp_path)
    assert (app.interactive, app.may_wait_hours, app.side_effects, app.owner) == (False, 24.0, False, "care")
    assert (app.allowed_providers, app.candidates) == (("openai",), ("gpt-9",))
    assert {"interactive", "may_wait_hours", "side_effects", "allowed_providers", "candidates"} <= set(app.assumed)
    assert app.evidence("interactive") == "assumed"


@pytest.mark.parametrize(
    "columns",
    [
        {"stream": [True] + [False] * 99},
        {"session_id": ["s", "s"] + [f"s{i}" for i in range(98)]},
        {"timestamp": pd.date_range("2026-10-01", periods=100, freq="h", tz="UTC")},
        {"timestamp": pd.date_range("2026-10-01 02:00", periods=100, freq="s", tz="UTC")},
    ],
)
def test_a_stream_a_session_or_a_working_day_is_interactive(tmp_path: Path, columns: dict[str, Any]) -> None:
    """One stream, one second turn, requests around the clock, or a single night: somebody may be waiting."""
    app = _draft(tmp_path, **columns)
    assert (app.interactive, app.may_wait_hours) == (True, 0.0)


def test_tools_may_act_and_overhead_is_no_app(tmp_path: Path) -> None:
    """Tools mean side effects; a judge's own calls make no app and no candidate."""
    purpose = ["user"] * 50 + ["overhead"] * 50
    frame = {"app": ["a"] * 50 + ["judge"] * 50, "model": ["m"] * 50 + ["j"] * 50, "purpose": purpose, "has_tools": True}
    drafted = Apps.draft(traffic_of(tmp_path, {"timestamp": _NIGHTS} | frame))
    assert list(drafted.apps) == ["a"]
    assert drafted["a"].side_effects
    assert drafted["a"].candidates == ("m",)


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_APPS = st.builds(
    App,
    owner=st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    interactive=st.just(False),
    may_wait_hours=st.floats(0, 8760),
    side_effects=st.booleans(),
    quality_floor=st.none() | st.floats(0, 1),
    usd_per_wrong_answer=st.none() | st.floats(0, 1e6),
    allowed_providers=st.lists(_NAMES, max_size=3).map(tuple),
    candidates=st.lists(_NAMES, max_size=3).map(tuple),
    assumed=st.sampled_from([(), ("owner",), ("interactive", "may_wait_hours")]),
)


@settings(max_examples=60)
@given(st.dictionaries(_NAMES, _APPS, max_size=4))
def test_saving_and_loading_gives_the_same(tmp_path_factory: pytest.TempPathFactory, apps: dict[str, App]) -> None:
    """Whatever names and values apps have, the file reads back as it was."""
    path = tmp_path_factory.mktemp("apps") / "apps.yaml"
    assert Apps.load(Apps(apps).save(path)) == Apps(apps)


def test_the_file_explains_itself(tmp_path: Path) -> None:
    """The first app carries what each field means, and the head says what assumed does."""
    text = Apps({"a": App(), "b": App()}).save(tmp_path / "apps.yaml").read_text("utf-8")
    assert text.count("# true: somebody waits for the answer") == 1
    assert "take its name out of `assumed`" in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("apps:\n  a:\n    intractive: true\n", r"line 5: field 'intractive'.*Did you mean 'interactive'"),
        ("apps:\n  a:\n    may_wait_hours: soon\n", r"line 5: may_wait_hours 'soon'; expected hours"),
        ("apps:\n  a:\n    side_effects: 1\n", r"line 5: side_effects 1; expected true or false"),
        ("apps:\n  a:\n    quality_floor: 95\n", r"line 5: quality_floor 95; expected a number from 0 to 1"),
        ("apps:\n  a:\n    candidates: gpt-9\n", r"line 5: candidates 'gpt-9'; expected a list"),
        ("apps:\n  a:\n    may_wait_hours: 24\n", r"line 5: an interactive app that may wait"),
        ("apps:\n  a:\n    assumed: [ownr]\n", r"line 5: assumed names 'ownr'.*Did you mean 'owner'"),
        ("apps:\n  a:\n    owner: x\n    owner: y\n", r"line 6: field 'owner' a second time"),
        ("apps:\n  a: {owner: x}\n  a: {owner: y}\n", r"line 5: app 'a' a second time"),
        ("apps:\n  a: 3\n", r"line 4: no fields"),
        ("apps: []\n", r"no mapping called apps"),
        ("app:\n  a: {owner: x}\n", r"line 3: 'app'; expected format, version or apps.*Did you mean 'apps'"),
        ("apps: {\n", r"expected YAML"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, body: str, message: str) -> None:
    """A misspelt field, a wrong type or a contradiction names the file, the line and what would be right."""
    path = tmp_path / "apps.yaml"
    path.write_text(_HEAD + body, "utf-8")
    with pytest.raises(InputError, match=message):
        Apps.load(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A list, a newer version and a missing file are refused with what was expected."""
    path = tmp_path / "apps.yaml"
    for text, message in (("- 1\n", "no mapping"), ("format: planner.apps\nversion: 9\n", "newer planner")):
        path.write_text(text, "utf-8")
        with pytest.raises(InputError, match=message):
            Apps.load(path)
    with pytest.raises(InputError, match="a readable apps file"):
        Apps.load(tmp_path / "none.yaml")


def test_a_missing_app_is_named_with_its_neighbour() -> None:
    """The apps that the file lacks are named, with the nearest that it has."""
    apps = Apps({"search": App()})
    with pytest.raises(InputError, match=r"no entry for serch, shop.*Did you mean 'search'"):
        apps.require(["serch", "search", "shop"])
    with pytest.raises(InputError, match=r"app 'serch'.*Did you mean 'search'"):
        apps["serch"]
