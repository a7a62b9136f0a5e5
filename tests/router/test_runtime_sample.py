"""The exported router on the whole SYNTHETIC sample: each single request as production sees it, decided as training and simulation do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.chain import chain

from planner import export
from planner.router import REASONS, Requests, Router

#: Columns that ``simulate`` scores by, see ``outcomes.requests_of``.
BESIDE = ("app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
DAY = "2026-11-01"


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory) -> Router:
    """Export the sample's router, and load it."""
    training = chain().training
    return Router.load(export(training.router, tmp_path_factory.mktemp("sample") / "bundle", training=training))


def decided(router: Router, columns: dict[str, list]) -> list[tuple[str, float, str]]:
    """Decide requests one by one, from messages as a gateway has them."""
    rows = zip(columns["messages"], *(columns[name] for name in BESIDE), strict=True)
    found = [router.decide(json.loads(m) if m else m, dict(zip(BESIDE, rest, strict=True)), at=DAY) for m, *rest in rows]
    assert {d.version for d in found} == {router.version}
    return [(d.model, d.score, d.reason) for d in found]


def trained(router: Router, columns: dict[str, list]) -> list[tuple[str, float, str]]:
    """Decide the same requests in columns, with the router that was never written."""
    scores = router.scores(Requests.of(**columns, unit=router.unit), DAY)
    codes, why = router.choose(scores)
    gains = np.where(codes == scores.home, 0.0, scores.gains[np.arange(len(codes)), codes])
    return [(router.candidates[c], g, REASONS[w]) for c, g, w in zip(codes.tolist(), gains.tolist(), why.tolist(), strict=True)]


def test_every_logged_request(exported):
    """On every request of the log, from its raw text, the loaded bundle's model, score and reason are the training side's, bit for bit."""
    traffic, router = chain().traffic, chain().training.router
    seen, reasons = 0, set()
    for batch in traffic.batches(("messages", *BESIDE), 5_000):
        columns = {name: batch[name].to_pylist() for name in ("messages", *BESIDE)}
        wanted = trained(router, columns)
        assert decided(exported, columns) == wanted
        seen += len(wanted)
        reasons |= {why for _, _, why in wanted}
    assert seen == len(traffic) > 50_000
    assert {REASONS[0], REASONS[1]} < reasons


def test_every_labelled_request(exported):
    """On every labelled request the loaded bundle decides as the router that was trained on it."""
    items = chain().labels.items
    columns = {name: items[name].tolist() for name in ("messages", *BESIDE)}
    assert decided(exported, columns) == trained(chain().training.router, columns)


def test_the_bundle_is_small(exported, tmp_path):
    """The sample's bundle is below a megabyte."""
    folder = Path(export(exported, tmp_path / "b"))
    assert sum(f.stat().st_size for f in folder.iterdir()) < 1_000_000
