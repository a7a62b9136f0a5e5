"""The runtime under many threads: what one thread gives, whichever of them asks first."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from support.labels import COST, made_labels

from planner import export
from planner.bundle.vectors import made_up
from planner.router import Requests, Router
from planner.text import tokens
from planner.training import train

THREADS = 16


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """Export a router."""
    training = train(made_labels(400), reference="large", cost=COST)
    return export(training.router.with_tau(0.02), tmp_path_factory.mktemp("threads") / "bundle")


@pytest.fixture
def hasty():
    """Let threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_give_what_one_gives(bundle, hasty):
    """Sixteen threads that begin at once on a router that has decided nothing give each request the decision that one thread gives."""
    requests = made_up(300, ["chat", "maths", "x"], seed=4)
    alone = Router.load(bundle)
    wanted = [alone.decide(m, d, at="2026-01-01") for m, d in requests]
    assert len({(w.model, w.reason) for w in wanted}) > 4
    for _ in range(3):
        shared, barrier = Router.load(bundle), Barrier(THREADS)
        for name in ("_gate", "_homes", "version", "family", "_weights", "reference_code"):
            shared.__dict__.pop(name, None)
        shared.scorer.__dict__.pop("_table", None)
        tokens._one.cache_clear()

        def work(first: int, shared=shared, barrier=barrier) -> list:
            barrier.wait()
            return [shared.decide(*requests[(first * 7 + i) % 300], at="2026-01-01") for i in range(100)]

        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(work, range(THREADS)))
        assert found == [[wanted[(t * 7 + i) % 300] for i in range(100)] for t in range(THREADS)]


def test_columns_and_single_requests_at_once(bundle, hasty):
    """Threads that score columns do not disturb those that decide, nor each other."""
    router = Router.load(bundle)
    pairs = made_up(200, ["chat", "maths"], seed=9)
    requests = Requests.of([m for m, _ in pairs], app=[d["app"] for _, d in pairs])
    gains, single = router.scores(requests, "").gains, [router.decide(m, d, at="") for m, d in pairs[:50]]
    with ThreadPoolExecutor(8) as pool:
        columns = [pool.submit(lambda: router.scores(requests, "").gains) for _ in range(8)]
        decided = [pool.submit(lambda: [router.decide(m, d, at="") for m, d in pairs[:50]]) for _ in range(8)]
        assert all(np.array_equal(c.result(), gains) for c in columns)
        assert all(d.result() == single for d in decided)


def test_threads_load_at_once(bundle):
    """Threads that load the same bundle at once all get the same router."""
    with ThreadPoolExecutor(6) as pool:
        assert len({r.version for r in pool.map(lambda _: Router.load(bundle), range(12))}) == 1
