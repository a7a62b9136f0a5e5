"""The picture of a bridge hangs every change where the ones above it left the bill."""

from __future__ import annotations

import pytest
from followup.made_bills import month
from followup.test_bridge import bridged

from planner.figures.bridge import bridge as draw


def test_bars_lead_from_bill_to_bill() -> None:
    """Both bills are whole bars, each change begins where the last ended, and the last ends at this month's bill."""
    last, this = month("2026-11-01"), month("2026-12-01", chat=8, days=25)
    this["output_tokens"] *= 2
    found = bridged(last, this)
    picture = draw(found, note="SYNTHETIC")
    bars = [(bar.get_x(), bar.get_width()) for bar in picture.axes[0].patches]
    was, now = found.usd
    assert bars[0] == pytest.approx((0, was))
    assert bars[-1] == pytest.approx((0, now))
    at = was
    for x, width in bars[1:-1]:
        assert x == pytest.approx(at)
        at += width
    assert at == pytest.approx(now)
    shown = found.table["usd"].abs() >= 0.002 * max(was, now)
    assert [width for _, width in bars[1:-1]][: shown.sum()] == pytest.approx(found.table.loc[shown, "usd"].tolist())
    assert picture.title.startswith("From $")
    assert any("SYNTHETIC" in text.get_text() for text in picture.texts)
    assert picture.numbers["line"].tolist() == found.table["line"].tolist()
    assert picture.png().startswith(b"\x89PNG")
