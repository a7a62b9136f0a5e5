"""Token ratios are learned from labels, so a saving is no surer than the labels."""

import numpy as np
import pytest

from planner.simulation import noise
from planner.stats import jackknife


@pytest.mark.parametrize(("labels", "least"), [(60, 0.83), (400, 0.90)])
def test_savings_cover_when_answer_lengths_vary(labels: int, least: float) -> None:
    """With lognormal (σ = 1) answer lengths the interval of a saving covers the truth in nearly 95 % of 300 draws.

    Sixty labels of so skewed a length are too few for the full 95 %; ratios taken as known would cover in less than half.
    """
    rng = np.random.default_rng(labels)
    truth = float(np.exp(0.5))
    hits = narrow = 0
    for _ in range(300):
        logged = np.full(256, 1000.0)
        samples = np.zeros((1, 256, 5), np.int64)
        for bucket, length in zip(rng.integers(0, 256, labels), rng.lognormal(0, 1, labels), strict=True):
            samples[0, bucket] += np.array([100, 100, round(1000 * length), 1000, 0])
        ratio = samples[0, :, 2].sum() / samples[0, :, 3].sum()
        planned = 100 * ratio * np.ones(256)
        exposure = np.array([[0.0, planned.sum(), 0.0]])
        sums = np.column_stack([planned - logged, noise.columns(samples)])
        moved = noise.shift(samples, exposure)
        found = jackknife(
            sums, lambda s, moved=moved: -(s[:, 0] + moved(s[:, 1:])), noise.clusters(np.ones(256), samples, exposure), extensive=True
        )
        fixed = jackknife(sums[:, :1], lambda s: -s[:, 0], np.ones(256), extensive=True)
        saving = 256 * (1000 - 100 * truth)
        hits += bool(found.low <= saving <= found.high)
        narrow += bool(fixed.low <= saving <= fixed.high)
    assert least <= hits / 300 <= 0.99
    assert narrow / 300 < 0.5
