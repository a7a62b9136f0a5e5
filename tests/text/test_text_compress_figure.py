"""The picture of retained answers: its headline is the table's, and it refuses to mix datasets."""

from __future__ import annotations

import pandas as pd
import pytest

from planner.errors import InputError
from planner.figures.compression import compression


def table() -> pd.DataFrame:
    """Two methods at two ratios on one dataset."""
    rows = [("ours", 2.0, 0.96), ("ours", 4.0, 0.85), ("bm25", 2.0, 0.87), ("bm25", 4.0, 0.6)]
    made = pd.DataFrame(rows, columns=["method", "ratio", "retention"]).assign(dataset="reading", questions=194)
    return made.assign(low=made["retention"] - 0.03, high=made["retention"] + 0.03)


def test_the_headline_is_the_table_at_half_the_tokens():
    """The title states the first method's share at 2× and the best other's; the numbers beside it are the table."""
    picture = compression(table())
    assert picture.title == "At half the tokens 96 % of the answers stay; bm25 keeps 87 %"
    assert picture.numbers.equals(table())
    assert picture.png()[:4] == b"\x89PNG"


def test_datasets_are_not_mixed():
    """Of several datasets one must be named, and one that is there."""
    both = pd.concat([table(), table().assign(dataset="hops")])
    with pytest.raises(InputError, match="a table of reading, hops; expected one dataset"):
        compression(both)
    with pytest.raises(InputError, match="dataset 'x'; expected one of reading, hops"):
        compression(both, dataset="x")
    assert set(compression(both, dataset="hops").numbers["dataset"]) == {"hops"}
