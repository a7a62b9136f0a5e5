"""Residuals of latency: the tail that generated the data is chosen, and what was cut short counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from planner.figures.tail import tail
from planner.outcomes.tails import FAMILIES, SCORES, Residual, Tail, fit_residual

N = 20_000


def _fit(factor: np.ndarray) -> Residual:
    return fit_residual(factor, np.zeros(len(factor), bool))


def _lognormal(rng: np.random.Generator) -> np.ndarray:
    return rng.lognormal(0, 0.5, N)


def _pareto(rng: np.random.Generator) -> np.ndarray:
    return 0.5 + 0.5 * (rng.random(N) ** -0.4 - 1) / 0.4


def _weibull(rng: np.random.Generator) -> np.ndarray:
    n = N // 5
    return np.where(np.arange(n) % 10 < 9, rng.uniform(0.5, 1.5, n), 1.5 + 0.5 * rng.weibull(2.0, n))


@pytest.mark.parametrize(("family", "make"), [("lognormal", _lognormal), ("generalised Pareto", _pareto), ("Weibull", _weibull)])
def test_the_law_behind_the_data_is_chosen(family, make) -> None:
    """Of three generated tails the law that made them is chosen in most of nine draws, and is never far from the best."""
    found = [_fit(make(np.random.default_rng(seed))) for seed in range(9)]
    assert [f.tail.family for f in found].count(family) >= 5
    assert all(f.likelihood[family] > max(f.likelihood.values()) - 0.06 for f in found)


@pytest.mark.parametrize("make", [_lognormal, _pareto, _weibull])
def test_quantiles_are_those_of_many_more_draws(make) -> None:
    """Median, p95 and p99.5 of the table are within 3, 5 and 12 per cent of those of fifty times as many draws."""
    found = _fit(make(np.random.default_rng(0)))
    truth = np.concatenate([make(np.random.default_rng(seed)) for seed in range(100, 150)])
    for share, within in ((0.5, 0.03), (0.95, 0.05), (0.995, 0.12)):
        assert found.at(np.array([ndtri(share)]))[0] == pytest.approx(np.quantile(truth, share), rel=within)


def test_beyond_a_limit_that_cuts_all_calls_short_the_tail_goes_on() -> None:
    """Where one call in twenty is cut short at one factor and sizes are known within 2 per cent, p99 is right within 5, not the limit."""
    rng = np.random.default_rng(2)
    whole, limit = rng.lognormal(0, 0.5, N), np.exp(0.5 * ndtri(0.95))
    found = fit_residual(np.where(whole > limit, limit, whole * rng.lognormal(0, 0.02, N)), whole > limit)
    assert found.at(ndtri(np.array([0.95, 0.99]))) == pytest.approx(np.exp(0.5 * ndtri(np.array([0.95, 0.99]))), rel=0.05)


def test_censoring_beats_dropping() -> None:
    """With a fifth of the calls cancelled, p95 is right within 5 per cent; dropped, they would make it too short by more than 15."""
    rng = np.random.default_rng(1)
    whole, patience = rng.lognormal(0, 0.5, N), rng.lognormal(0.6, 0.5, N)
    cut, truth = whole > patience, np.exp(0.5 * ndtri(0.95))
    at = np.array([ndtri(0.95)])
    kept = fit_residual(np.minimum(whole, patience), cut).at(at)[0]
    dropped = fit_residual(whole[~cut], np.zeros(int((~cut).sum()), bool)).at(at)[0]
    assert kept == pytest.approx(truth, rel=0.05)
    assert dropped < 0.85 * truth


def test_one_limit_for_all_leaves_a_tail_beyond_it() -> None:
    """Calls that all time out at the same limit still get residuals beyond it, by the law of those that were seen."""
    whole = np.random.default_rng(2).lognormal(0, 0.5, N)
    found = fit_residual(np.minimum(whole, 3.0), whole > 3.0)
    assert found.censored == int((whole > 3.0).sum())
    assert found.at(np.array([3.0]))[0] == pytest.approx(np.exp(1.5), rel=0.2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tail_is_a_law(family) -> None:
    """Its survival begins at 1 and falls, its quantile inverts it, and its density is minus its slope."""
    numbers = {"empirical": (*np.linspace(2, 5, 10), 1.5), "lognormal": (0.0, np.log(0.6)), "generalised Pareto": (0.2, 0.0)}
    law = Tail(family, 2.0, numbers.get(family, (0.3, 0.0)))
    at = np.array([2.0, 2.5, 3.1, 4.7, 6.0, 9.0])
    left = np.exp(law.log_survival(at))
    assert left[0] == pytest.approx(1.0)
    assert (np.diff(left) < 0).all()
    assert law.factor(left) == pytest.approx(at)
    slope = (np.exp(law.log_survival(at[1:] + 1e-6)) - np.exp(law.log_survival(at[1:] - 1e-6))) / 2e-6
    assert np.exp(law.log_density(at[1:])) == pytest.approx(-slope, rel=1e-4)


def test_scores_invert_the_table() -> None:
    """The table never falls, and the score of a factor inside it gives that factor back."""
    found = _fit(_lognormal(np.random.default_rng(3)))
    assert (np.diff(found.factors) >= 0).all()
    assert len(found.factors) == len(SCORES)
    inside = np.linspace(0.4, 4.0, 50)
    assert found.at(found.score(inside)) == pytest.approx(inside)


@pytest.mark.parametrize("factor", [np.full(500, 1.0), np.array([0.7, 1.3]), np.array([1.0])])
def test_too_little_to_choose_from_is_assumed(factor: np.ndarray) -> None:
    """Few calls, or calls that are all alike, choose no tail: a lognormal is assumed, and the table stays near what was seen."""
    found = _fit(factor)
    assert found.tail.family == "lognormal"
    assert found.evidence == "assumed"
    assert "assumed" in found.text
    assert np.isfinite(found.factors).all()
    assert factor.min() <= found.at(np.array([0.0]))[0] <= factor.max()


def test_the_picture_shows_the_choice() -> None:
    """The title names the chosen law, which is the one in colour, and the circles are the later calls' survival."""
    found = _fit(_pareto(np.random.default_rng(0)))
    picture = tail(found, model="gpt-5.4", note="SYNTHETIC")
    assert picture.title == "The longest calls of gpt-5.4 follow a generalised Pareto tail"
    later = found.table[found.table["line"] == "later"]
    circles = next(line for line in picture.axes[0].lines if line.get_marker() == "o")
    assert circles.get_ydata().tolist() == later["survival"].tolist()
    bold = [line.get_label() for line in picture.axes[0].lines if line.get_linewidth() == 2.4]
    assert [b.split(",")[0] for b in bold] == ["generalised Pareto"]
    assert picture.numbers.equals(found.table)
    assert tail(_fit(np.full(40, 1.0))).title.endswith("lognormal tail")
