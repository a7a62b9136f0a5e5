"""The price book, loaded once for all tests of this folder."""

from __future__ import annotations

import pytest

from planner.prices import PriceBook


@pytest.fixture(scope="session")
def book() -> PriceBook:
    """Return the bundled catalogue."""
    return PriceBook.load()
