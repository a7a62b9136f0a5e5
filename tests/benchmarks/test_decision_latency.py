"""The latency benchmark: runs on any labels, and times peers that read what the router reads."""

from __future__ import annotations

import pytest
from support.labels import COST, made_labels

from benchmarks.decision_latency import made_case, measure, same_families
from planner.router import FeatureSpec


@pytest.fixture(scope="module")
def numbers() -> dict:
    """Measure once, a few prompts of a small router."""
    return measure(made_case("made", made_labels(300), COST, "large"), prompts=10, batch=20, rounds=1)


def test_every_promised_number_is_there(numbers):
    """Times, rates, speed-ups over both pipelines, sizes, and what import and load take are there, and above zero."""
    promised = {
        "p50_us",
        "p99_us",
        "per_s",
        "speedup_single",
        "speedup_batch",
        "speedup_single_words_only",
        "speedup_batch_words_only",
        "per_s_scores_only",
    }
    promised |= {"import_ms", "load_ms", "artefact_mb", "sklearn_p50_us", "sklearn_words_only_p50_us", "turn_chars_p50"}
    promised |= {"per_s_scores_only", "speedup_batch_scores_only"}
    assert promised <= set(numbers)
    assert all(numbers[name] > 0 for name in promised)
    assert {"minilm", "minilm_p50_us"} & set(numbers)


def test_the_bundle_is_small_and_quick_to_import(numbers):
    """The artefact stays far below 20 MB, and import below 0.3 s of CPU time."""
    assert numbers["artefact_mb"] < 20
    assert numbers["import_ms"] < 300


def test_the_peer_has_the_routers_families():
    """The pipeline has one block for each family of the settings, the template's only where there are templates."""
    blocks = [len(same_families(FeatureSpec(token_bits=8), templates).steps[0][1].transformer_list) for templates in (True, False)]
    assert blocks == [3, 2]
    only = same_families(FeatureSpec(token_bits=8, app_bits=0), False).steps[0][1].transformer_list
    assert only[0][1].fit([("a b c", "", "")] * 2).get_feature_names_out().size == 5
