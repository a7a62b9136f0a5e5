"""The reconciliation as a picture: bars are the three dollars, steps lead from contract to invoice, assumed is dashed."""

from __future__ import annotations

from pathlib import Path

import pytest
from prices.billing import audited, calls, plain_export

from planner import figures
from planner.prices import Contract, PriceBook, contracted, read_invoice, reconcile
from planner.prices.contract import FOREVER, PPM, Discount


def test_bars_are_the_dollars_of_the_reconciliation(tmp_path: Path) -> None:
    """Lengths are the dollars, each part begins where the one before ended, and the contract's outline is dashed."""
    book = PriceBook.load()
    log = audited(calls(60), tmp_path / "t", book)
    (tmp_path / "a.csv").write_text(plain_export(log), "utf-8")
    terms = Contract("c", (Discount("openai", log.traffic.frame("timestamp")["timestamp"].min().date(), FOREVER, "x", PPM // 2),))
    found = reconcile(contracted(log, terms), read_invoice(tmp_path / "a.csv", book))
    picture = figures.reconciliation(found)
    bars = picture.axes[0].patches
    dollars = found.dollars
    assert [bar.get_width() for bar in bars] == pytest.approx([e.value for e in dollars.values()])
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    assert [bar.get_x() for bar in bars[2:5]] == pytest.approx(ends[1:4])
    assert ends[4] == pytest.approx(ends[5])
    assert [bar.get_linestyle() == "--" for bar in bars] == [e.evidence == "assumed" for e in dollars.values()]
    assert "not understood" in picture.title
    assert picture.numbers["invoice_usd"].sum() == pytest.approx(dollars["invoice"].value)
    assert picture.png() == figures.reconciliation(found).png()
