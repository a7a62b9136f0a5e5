"""Drift on whole logs: quiet where nothing changed, and each planted change found in its own measure, with what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.drift import KINDS, LOOKS, MODELS, MONDAY, REFERENCE, WEEK, asked, book, dearer, exported, null, router, stored
from planner.errors import InputError, NeedsError
from planner.followup.drift import Drift, drift
from planner.followup.drift_words import MEASURES
from planner.traffic import Traffic


def periods(folder: Path, shift: str = "", size: float = 0.0, seed: int = 3, **changes: Any) -> tuple[Traffic, Traffic]:
    """Return four weeks and the week after, moved by ``shift``; ``changes`` of columns hold in the week after."""
    frame = asked(seed, KINDS["days"], REFERENCE + WEEK, shift, size, REFERENCE)
    late = (frame["timestamp"].to_numpy() - MONDAY).astype("timedelta64[D]").astype(int) >= REFERENCE
    return stored(folder / "before", frame[~late]), stored(folder / "now", frame[late].assign(**changes))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Traffic, Traffic]:
    """Return two periods between which nothing changed."""
    return periods(tmp_path_factory.mktemp("quiet"))


@pytest.fixture(scope="module")
def bundle(quiet: tuple[Traffic, Traffic], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with the profile of the first period and its prices."""
    return exported(tmp_path_factory.mktemp("bundle") / "bundle", quiet[0])


@pytest.fixture(scope="module")
def found(quiet: tuple[Traffic, Traffic], bundle: Path) -> Drift:
    """Compare the two."""
    return drift(quiet[1], bundle, before=quiet[0], book=book())


def test_nothing_changed(found: Drift) -> None:
    """Two periods of one world are quiet, with every measure but model versions, of which there is one each, in the table."""
    assert found.alarms == ()
    assert found.table["measure"].tolist() == [m for m in MEASURES if m != "model versions"]
    assert (found.table["p_adjusted"] >= found.table["p_value"]).all()
    assert found.prices.empty
    assert "Quiet" in found.text
    assert found.notes == ()


def test_columns_stand_behind_the_table(found: Drift) -> None:
    """The table's line of a measure is its most surprising column; shares and intervals are sound."""
    for measure, own in found.changes.groupby("measure"):
        line = found.table.set_index("measure").loc[measure]
        assert line["what"] == own.loc[own["score"].idxmax(), "what"]
    assert found.changes[["before", "now"]].stack().between(0, 1).all()
    assert (found.changes["low"] <= found.changes["difference"] + 1e-12).all()
    assert (found.changes["high"] >= found.changes["difference"] - 1e-12).all()


def test_ordinary_traffic_is_quiet() -> None:
    """Of five logs, one of each kind of the benchmark, four looks alarm in one at most, against the log and against its profile."""
    found = [null((kind, seed))[1] for seed, kind in enumerate(KINDS)]
    for reference in ("log", "profile"):
        assert sum(any(own[reference]) for own in found) <= 1
        assert all(len(own[reference]) == LOOKS for own in found)


@pytest.mark.parametrize(
    ("shift", "size", "measure", "says"),
    [
        ("language", 0.4, "language", "label about"),
        ("template", 1.0, "prompt templates", "planner gate"),
        ("harder", 1.8, "router scores", "label about"),
        ("longer", 0.6, "prompt length", "label about"),
        ("model", 0.7, "model mix", "train and export again with --log"),
        ("version", 1.0, "model versions", "planner gate"),
        ("failures", 2.5, "failures", "provider's status"),
    ],
)
def test_a_planted_change_is_found_where_it_is(tmp_path: Path, shift: str, size: float, measure: str, says: str) -> None:
    """Each planted change alarms in its own measure, in the direction in which it was planted, and its line says what to do."""
    before, now = periods(tmp_path, shift, size)
    result = drift(now, router(), before=before, book=book())
    assert measure in result.alarms
    line = result.table.set_index("measure").loc[measure]
    assert abs(line["difference"]) > 0.02
    assert line["low"] * line["high"] > 0
    assert says in line["fix"]
    assert says in result.text


def test_a_dated_version_is_no_other_model(tmp_path: Path) -> None:
    """The same model under a new date changes the versions and leaves the mix of models alone."""
    before, now = periods(tmp_path, "version", 1.0)
    result = drift(now, router(), before=before, book=book())
    assert "model versions" in result.alarms
    assert "model mix" not in result.alarms


def test_what_the_router_moved_is_no_drift(tmp_path: Path) -> None:
    """Requests that the hook sent elsewhere do not count as another mix of models; the same without its tag does."""
    frame = asked(3, KINDS["days"], REFERENCE + WEEK)
    late = (frame["timestamp"].to_numpy() - MONDAY).astype("timedelta64[D]").astype(int) >= REFERENCE
    moved = np.random.default_rng(0).random(late.sum()) < 0.5
    model = np.where(moved, MODELS[1], frame["model"][late])
    tags = pd.Series(np.where(moved, '["x", "planner-arm:routed"]', '["planner-arm:holdout"]'), index=frame.index[late])
    before = stored(tmp_path / "before", frame[~late])
    tagged = stored(tmp_path / "tagged", frame[late].assign(model=model, tags=tags))
    bare = stored(tmp_path / "bare", frame[late].assign(model=model))
    assert "model mix" not in drift(tagged, router(), before=before, book=book()).alarms
    assert "model mix" in drift(bare, router(), before=before, book=book()).alarms
    everything = stored(tmp_path / "all", frame[late].assign(model=MODELS[1], tags='["planner-arm:routed"]'))
    result = drift(everything, router(), before=before, book=book())
    assert result.alarms == ()
    assert "nothing to count for model mix, output length, cached share, failures" in result.text


def test_one_log_cut_in_two_is_the_same(tmp_path: Path, quiet: tuple[Traffic, Traffic], found: Drift) -> None:
    """``since`` compares the two parts of one log as two logs are compared."""
    frame = asked(3, KINDS["days"], REFERENCE + WEEK)
    whole = stored(tmp_path / "whole", frame)
    result = drift(whole, router(), since="2026-10-26", book=book())
    pd.testing.assert_frame_equal(result.table.drop(columns="fix"), found.table.drop(columns="fix"))
    assert result.spans == found.spans


def test_the_profile_stands_in_for_the_log(tmp_path: Path, bundle: Path, quiet: tuple[Traffic, Traffic]) -> None:
    """Without a log before, the bundle's profile finds a new language, and says which measures it does not have."""
    _, now = periods(tmp_path, "language", 0.4)
    result = drift(now, bundle, book=book())
    assert {"language", "abstentions"} <= set(result.alarms)
    assert not {"output length", "cached share", "failures"} & set(result.table["measure"])
    assert "no output length, cached share, failures" in result.text
    still = drift(quiet[1], bundle, book=book())
    assert still.alarms == ()


def test_the_profile_compares_only_what_came_after_it(tmp_path: Path, bundle: Path, quiet: tuple[Traffic, Traffic]) -> None:
    """A log that goes on from the profile's counts from where that ends; one that ends before has nothing to compare."""
    whole = stored(tmp_path / "whole", asked(3, KINDS["days"], REFERENCE + WEEK))
    assert drift(whole, bundle, book=book()).spans[1] == drift(quiet[1], bundle, book=book()).spans[1]
    with pytest.raises(NeedsError, match="a period with 0 requests"):
        drift(quiet[0], bundle, book=book())


def test_a_price_that_moved_is_told_with_its_cost(tmp_path: Path, bundle: Path, quiet: tuple[Traffic, Traffic]) -> None:
    """One rate one per cent up is an alarm of its own, with what it costs on the requests of now: their tokens times the difference."""
    result = drift(quiet[1], bundle, before=quiet[0], book=dearer(tmp_path / "prices.yaml", 0.01))
    assert result.alarms == ("prices",)
    row = result.prices.set_index("rate").loc["input"]
    frame = quiet[1].frame("model", "input_tokens")
    tokens = frame.loc[frame["model"] == MODELS[0], "input_tokens"].sum()
    assert row["change"] == pytest.approx(0.01)
    assert row["usd"] == pytest.approx(tokens * row["was"] * 0.01 / 1e6)
    assert "For prices: the router weighs cost at the old ones" in result.text


def test_a_bundle_without_prices_says_so(quiet: tuple[Traffic, Traffic]) -> None:
    """A router alone has no prices of its export; that is noted, not taken for no change."""
    assert "has no prices" in drift(quiet[1], router(), before=quiet[0], book=book()).text


def test_a_folder_that_a_gateway_runs_will_do(tmp_path: Path, bundle: Path, quiet: tuple[Traffic, Traffic], found: Drift) -> None:
    """The bundle inside an exported folder is found."""
    (tmp_path / "bundle").symlink_to(bundle)
    pd.testing.assert_frame_equal(drift(quiet[1], tmp_path, before=quiet[0], book=book()).table, found.table)


def test_looks_share_the_level(tmp_path: Path, quiet: tuple[Traffic, Traffic]) -> None:
    """The first of four looks has less than 5 %, the same one again the same, and the file keeps what it found."""
    file = tmp_path / "looks.json"
    once, again = (drift(quiet[1], router(), before=quiet[0], looks=file, planned=4, book=book()) for _ in range(2))
    assert once.alpha == again.alpha == pytest.approx(0.0179, abs=1e-4)
    assert (once.look, again.look, once.planned) == (1, 1, 4)
    (look,) = json.loads(file.read_text())["looks"]
    assert look["alarms"] == []
    assert look["requests"] == len(quiet[1])
    assert "look 1 of 4" in once.text


def test_what_cannot_be_compared_is_refused(tmp_path: Path, bundle: Path, quiet: tuple[Traffic, Traffic]) -> None:
    """Periods that overlap, two references, a bad day, too few requests or users, a bundle without a profile: one sentence each."""
    before, now = quiet
    few = asked(3, KINDS["days"], 2).head(99)
    lonely = asked(3, KINDS["days"], REFERENCE + WEEK).assign(user="u1")
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"now": before, "before": now}, InputError, "ends before now begins"),
        ({"now": now, "before": before, "since": "2026-10-26"}, InputError, "one of the two"),
        ({"now": now, "since": "soon"}, InputError, "a date like"),
        ({"now": stored(tmp_path / "few", few), "before": before}, NeedsError, "a period with 99 requests"),
        ({"now": stored(tmp_path / "lonely", lonely), "since": "2026-10-26"}, NeedsError, "1 users, or groups of users"),
        ({"now": now, "bundle": router()}, NeedsError, "without a profile"),
    ]
    for given, error, says in cases:
        with pytest.raises(error, match=says):
            drift(**{"bundle": bundle, "book": book(), **given})


def test_no_word_of_a_prompt_comes_out(tmp_path: Path) -> None:
    """Tables, words and the file of looks hold no word of any request; system prompts are told apart by short keys."""
    before, now = periods(tmp_path, "template", 1.0)
    result = drift(now, router(), before=before, looks=tmp_path / "looks.json", book=book())
    shown = result.text + result._repr_html_() + result.changes.to_string() + (tmp_path / "looks.json").read_text()
    assert not [w for w in ("invoice", "Bestellung", "customers", "documents") if w in shown]
