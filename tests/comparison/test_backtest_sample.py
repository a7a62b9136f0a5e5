"""The back-test on the SYNTHETIC sample, and its outcome models against the truth that only the generator knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.comparison.backtest import backtest
from planner.comparison.backtest_periods import cut_at, earlier
from planner.labels import Labels
from planner.outcomes import fit_outcomes
from planner.prices import PriceBook
from planner.synthetic import read_truth, sample_folder
from planner.traffic import Traffic
from planner.traffic.rows import Coded, load_rows


def test_the_sample_holds(sample: tuple[Traffic, Labels]) -> None:
    """Of some fifty intervals nine in ten hold; its own switch of models confirms the labels' ratios; money is right within 3 %.

    The prompt cache's tokens are told to be off where they are, and the bill does not rest on them there.
    """
    traffic, labels = sample
    found = backtest(traffic, labels=labels, runs=2)
    assert found.tested >= 40
    assert found.hits / found.tested >= 0.9
    money = found.table.query("app == 'all' and measure == 'usd'").iloc[0]
    assert money["predicted"] == pytest.approx(money["actual"], rel=0.03)
    assert found.switches["app"].unique().tolist() == ["code-assist"]
    assert found.switches["hit"].tolist() == [True] * 5
    assert [found.verdict(lever) for lever in ("exact_cache", "retry", "hedge", "route")] == ["hit"] * 4
    assert {lever.key for lever in found.plan.levers} == {"retry", "exact_cache", "prompt_cache"}


def test_ratios_fitted_before_the_cut_are_the_truth_after_it(sample: tuple[Traffic, Labels], tmp_path: Path) -> None:
    """What the last period's requests would cost on every model agrees with the generator's truth within ten per cent."""
    traffic, labels = sample
    rows, known, book = load_rows(traffic), read_truth(sample_folder() / "sample_truth.parquet"), PriceBook.load()
    cut = cut_at(rows.timestamp[rows.demand], 0.7)
    outcomes = fit_outcomes(earlier(traffic, cut, tmp_path), labels)
    place = pd.Index(rows.request_id).get_indexer(pd.Index(known.request_id))
    mine = (place >= 0) & (rows.timestamp[place] >= cut) & (rows.status[place] == 0) & rows.billable[place]
    part = rows.take(place[mine])
    assert len(part) > 500
    for column, model in enumerate(known.models):
        tokens, _, _ = outcomes.tokens(part, Coded(np.zeros(len(part), np.int32), (model,)))
        plain = np.column_stack([tokens[:, :4].sum(axis=1), np.zeros((len(part), 3), np.int64), tokens[:, 4:]])
        usd = book.price(outcomes.providers.get(model), model, "standard", plain, cut).cost_pusd.sum() / 1e12
        assert usd == pytest.approx(known.cost_usd[mine, column].sum(), rel=0.1), model
