"""False hits of a semantic cache: brute force, worlds whose truth is planted, and a choice that does not look ahead."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.faq import faq, messages
from support.small import traffic_of

from planner.errors import InputError, NeedsError
from planner.outcomes.semantic import BANDS, choose_threshold, false_hits
from planner.outcomes.served import Asked, asked, repeats, served
from planner.text.embeddings import cosines
from planner.traffic import Traffic, TrafficWriter

FRAMES = 4


def brute(log: Asked, threshold: float, ttl_us: int) -> list[tuple[int, int]]:
    """Return (request, source) by keeping every stored answer in a list and looking through all of it at each arrival."""
    found = log.questions
    alike = cosines(found.vectors, found.vectors)
    stored: list[tuple[int, int]] = []  # (complete at, by which request)
    hits = []
    for i, q in enumerate(found.asks.tolist()):
        now = int(log.start_us[i])
        newest: dict[int, tuple[int, int]] = {}
        for done, j in sorted(entry for entry in stored if entry[0] <= now):
            newest[int(found.asks[j])] = (done, j)
        fresh = {p: j for p, (done, j) in newest.items() if now - done < ttl_us}
        fits = [p for p in fresh if found.group[p] == found.group[q] and alike[q, p] >= np.float32(threshold)]
        best = q if q in fresh else min(fits, key=lambda p: (-alike[q, p], p), default=None)
        if best is not None:
            hits.append((i, fresh[best]))
        elif log.ok[i]:
            stored.append((int(log.ready_us[i]), i))
    return hits


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.93])
@pytest.mark.parametrize("ttl_s", [20.0, 86_400.0])
def test_what_is_served_equals_brute_force(tmp_path: Path, threshold: float, ttl_s: float) -> None:
    """Request by request the same answer is served as by looking through everything stored, failures and slow answers included."""
    log = asked(faq(tmp_path, n=400, topics=12), floor=0.4, most=10_000)
    rng = np.random.default_rng(0)
    slow = replace(log, ok=rng.random(len(log)) < 0.8, ready_us=log.start_us + rng.integers(1, 5_000_000, len(log)))
    found = served(slow, threshold, ttl_s)
    assert list(zip(found.request.tolist(), found.source.tolist(), strict=True)) == brute(slow, threshold, round(ttl_s * 1e6))


def _truth(traffic: Traffic) -> np.ndarray:
    return traffic.frame("response")["response"].to_numpy()


def test_without_noise_the_rate_is_the_share_of_other_meanings(tmp_path: Path) -> None:
    """Where answers never differ by themselves, false hits are exactly the served pairs whose planted answers differ."""
    traffic = faq(tmp_path, n=3_000, wrong=0.2)
    log = asked(traffic, floor=0.75)
    row = false_hits(log, [0.75]).table.iloc[0]
    pairs = served(log, 0.75)
    near = log.questions.asks[pairs.request] != log.questions.asks[pairs.source]
    truth = _truth(traffic)
    wrong = truth[pairs.request[near]] != truth[pairs.source[near]]
    assert (row["near_hits"], row["judged"]) == (near.sum(), near.sum())
    assert (row["false_hits"], row["baseline"]) == (pytest.approx(wrong.mean()), 0)
    assert row["low"] < wrong.mean() < row["high"]


def test_noise_of_the_model_is_no_false_hit(tmp_path: Path) -> None:
    """Where a fifth of all answers is off by itself and no paraphrase means anything else, the interval holds 0."""
    row = false_hits(asked(faq(tmp_path, n=6_000, noise=0.2), floor=0.75), [0.75]).table.iloc[0]
    assert row["disagreement"] == pytest.approx(1 - 0.8**2, abs=0.06)
    assert row["baseline"] == pytest.approx(1 - 0.8**2, abs=0.06)
    assert row["low"] < 0 < row["high"] < 0.15
    assert row["evidence"] == "estimated"


def test_planted_meanings_are_found_beneath_noise(tmp_path: Path) -> None:
    """With both, the interval holds what is expected: in topics with two meanings every second near pair has one of each."""
    row = false_hits(asked(faq(tmp_path, n=6_000, wrong=0.4, noise=0.05), floor=0.75), [0.75]).table.iloc[0]
    last = 2 * (1 / FRAMES) * (1 - 1 / FRAMES) / (1 - 1 / FRAMES)  # of pairs of two frames, those with the last frame
    expected = 0.4 * last * 0.95**2
    assert row["low"] < expected < row["high"]
    assert row["low"] > 0.05


def test_hits_grow_and_bands_add_up(tmp_path: Path) -> None:
    """A lower threshold serves no fewer requests; the bands hold every judged pair of their threshold once, with its disagreement."""
    found = false_hits(asked(faq(tmp_path, n=2_000, wrong=0.3), floor=0.4), [0.9, 0.4, 0.75], at=0.75)
    assert found.table["threshold"].tolist() == [0.9, 0.75, 0.4]
    assert found.table["hit_rate"].is_monotonic_increasing
    row = found.table.iloc[1]
    assert found.bands["judged"].sum() == row["judged"]
    assert (found.bands["judged"] * found.bands["disagreement"].fillna(0)).sum() == pytest.approx(row["judged"] * row["disagreement"])
    assert (found.bands["from"].iloc[0], found.bands["to"].iloc[-1]) == (BANDS[0], BANDS[-1])


def _changed(traffic: Traffic, folder: Path, after: dt.datetime) -> Traffic:
    """Return the log with every answer after a time replaced by one that each wording of a question has for itself."""
    table = traffic.arrow(*pq.read_schema(traffic.folder / "traffic.parquet").names)
    late = (traffic.frame("timestamp")["timestamp"] >= after).to_numpy()
    said = zip(table["response"].to_pylist(), table["messages"].to_pylist(), late.tolist(), strict=True)
    answers = [f"new {zlib.crc32(asks.encode())}" if now else text for text, asks, now in said]
    with TrafficWriter(folder) as writer:
        writer.accept(table.set_column(table.column_names.index("response"), "response", [answers]))
        return writer.close(source_format="test")


def test_the_choice_does_not_look_at_the_period_it_is_reported_on(tmp_path: Path) -> None:
    """When every later answer is another one, the threshold and all that is said of the earlier period stay; the later fails it."""
    thresholds = [0.95, 0.93, 0.9, 0.85, 0.75]
    traffic = faq(tmp_path / "a", n=5_000, topics=150)
    before = choose_threshold(asked(traffic, floor=0.75), 0.06, thresholds=thresholds)
    assert before.threshold is not None
    assert before.holds
    changed = _changed(traffic, tmp_path / "b", before.later.since)
    after = choose_threshold(asked(changed, floor=0.75), 0.06, thresholds=thresholds)
    assert after.threshold == before.threshold
    assert after.earlier.table.equals(before.earlier.table)
    assert after.earlier.bands.equals(before.earlier.bands)
    assert after.holds is False
    assert "does not confirm" in after.text
    assert before.earlier.until == before.later.since


def test_the_limit_decides(tmp_path: Path) -> None:
    """The chosen threshold and all stricter ones that could pass are within the limit, the next is not; a tiny limit chooses none."""
    log = asked(faq(tmp_path, n=5_000, wrong=0.02), floor=0.3)
    thresholds = [0.95, 0.93, 0.9, 0.85, 0.75, 0.5, 0.4, 0.3]
    found = choose_threshold(log, 0.06, thresholds=thresholds)
    table = found.earlier.table[found.earlier.table["open"] <= 0.06]
    assert found.threshold is not None
    assert (table.loc[table["threshold"] >= found.threshold, "high"] <= 0.06).all()
    assert table.loc[table["threshold"] < found.threshold, "high"].iloc[0] > 0.06
    assert found.table["chosen"].sum() == 2
    strict = choose_threshold(log, 1e-4, thresholds=thresholds)
    assert (strict.threshold, strict.holds) == (None, None)
    assert strict.text.startswith("No threshold serves enough different pairs to prove at most 0.0 %")


def test_without_repeats_the_disagreement_itself_is_the_bound_and_it_says_so(tmp_path: Path) -> None:
    """Fewer than thirty repeats of identical questions are no baseline: nothing is subtracted, and the text says upper bound."""
    log = asked(faq(tmp_path, n=1_500, noise=0.2), floor=0.75)
    last = {int(log.questions.asks[i]): i for i in range(len(log))}
    once = replace(log, judged=log.judged & np.isin(np.arange(len(log)), list(last.values())))
    assert len(repeats(once)) == 0
    found = false_hits(once, [0.75])
    row = found.table.iloc[0]
    assert (row["baseline"], found.unknown) == (0, 1)
    assert row["false_hits"] == row["disagreement"]
    assert "an upper bound" in found.text
    assert "upper bound" not in false_hits(log, [0.75]).text


def test_few_clusters_give_no_interval_and_no_choice(tmp_path: Path) -> None:
    """Nine users, or one, leave nothing to say: no interval, evidence assumed, and no threshold however well the answers agree."""
    log = asked(faq(tmp_path, n=1_000, users=9), floor=0.75)
    row = false_hits(log, [0.75]).table.iloc[0]
    assert (row["disagreement"] < 0.03, row["evidence"], bool(np.isnan(row["high"]))) == (True, "assumed", True)
    assert choose_threshold(log, 0.5, thresholds=[0.75]).threshold is None


def test_perfect_agreement_of_few_is_no_proof(tmp_path: Path) -> None:
    """Where no pair disagrees the upper end is what no event among the effective clusters leaves open, not 0."""
    row = false_hits(asked(faq(tmp_path, n=600, topics=60, users=60), floor=0.75), [0.75]).table.iloc[0]
    assert row["false_hits"] == 0
    assert row["high"] == row["open"] > 1 - 0.025 ** (1 / 60)


def test_cached_and_failed_answers_are_no_evidence(tmp_path: Path) -> None:
    """A gateway's own cache repeats itself and a failure has no answer: neither is judged nor a baseline."""
    log = asked(faq(tmp_path, n=500), floor=0.75)
    assert log.judged.all()
    silent = replace(log, judged=np.zeros(len(log), bool))
    found = false_hits(silent, [0.75])
    assert (found.table["judged"].iloc[0], len(repeats(silent))) == (0, 0)
    assert "none of those can be judged" in found.text


def test_right_answers_tell_harm(tmp_path: Path) -> None:
    """With the right answer known, harm is how much oftener the served answer misses it than the own one: here exactly the rate."""
    traffic = faq(tmp_path, n=2_000, wrong=0.3)
    ids = traffic.frame("request_id")["request_id"]
    right = dict(zip(ids[::2], _truth(traffic)[::2], strict=True))
    log = asked(traffic, floor=0.75, references=right)
    row = false_hits(log, [0.75]).table.iloc[0]
    assert 0 < row["references"] < row["judged"]
    assert row["harm"] == pytest.approx(row["false_hits"], abs=0.03)
    assert np.isnan(false_hits(asked(traffic, floor=0.75), [0.75]).table.iloc[0]["harm"])


def test_the_measure_is_the_callers(tmp_path: Path) -> None:
    """Any symmetric distance of answers stands in: one that finds nothing apart finds no false hit."""

    def blind(left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        return np.zeros(len(left))

    assert false_hits(asked(faq(tmp_path, n=800, wrong=1.0), floor=0.75), [0.75], measure=blind).table["disagreement"].iloc[0] == 0


def test_a_period_counts_its_own_requests_with_a_warm_cache(tmp_path: Path) -> None:
    """Two halves add up to the whole log, since the cache has seen the first when the second begins."""
    traffic = faq(tmp_path, n=2_000)
    log = asked(traffic, floor=0.75)
    middle = traffic.frame("timestamp")["timestamp"].iloc[1_000].to_pydatetime()
    whole, first, second = (false_hits(log, [0.75], **p).table.iloc[0] for p in ({}, {"until": middle}, {"since": middle}))
    for column in ("asked", "exact_hits", "near_hits", "judged"):
        assert first[column] + second[column] == whole[column]
    assert second["exact_hits"] + second["near_hits"] > first["exact_hits"] + first["near_hits"]


def test_bad_input_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """No answers, no thresholds, a cosine above 1, a limit of 0 and a threshold below the lists' floor each say what was expected."""
    traffic = faq(tmp_path, n=50)
    log = asked(traffic, floor=0.75)
    with pytest.raises(InputError, match="at least one, each above 0"):
        false_hits(log, [])
    with pytest.raises(InputError, match="at most 1"):
        false_hits(log, [1.2])
    with pytest.raises(InputError, match="above 0 and below 1"):
        choose_threshold(log, 0.0)
    with pytest.raises(InputError, match="with a lower floor"):
        false_hits(log, [0.5])
    with pytest.raises(NeedsError, match="needs response"):
        asked(traffic_of(tmp_path / "silent", {"model": ["m"], "messages": [messages("hi")], "text_state": "full"}), floor=0.5)
