"""Costs: rates that cannot be compared are refused before anything is decided by them."""

from __future__ import annotations

import numpy as np
import pytest

from planner.errors import InputError
from planner.router.costs import Costs

NAMES = ("input_usd_per_mtok", "output_usd_per_mtok", "output_tokens", "usd_per_request")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_rate_that_is_no_number_is_refused(name: str, wrong: float) -> None:
    """NaN and infinity are one sentence that names the rate, when rates are stated and when they are read back."""
    rates = {n: np.array([1.0, 2.0]) for n in NAMES}
    state = Costs(**rates).state()
    with pytest.raises(InputError, match=rf"{name} \[1\.0, -?(nan|inf)\]; expected finite numbers"):
        Costs(**{**rates, name: np.array([1.0, wrong])})
    with pytest.raises(InputError, match=name):
        Costs.of({**state, name: [1.0, wrong]})


def test_costs_come_back_from_their_state() -> None:
    """The plain values of a manifest, in the order of the rates, give the same costs."""
    costs = Costs(*(np.array([k, k + 0.5]) for k in (1.0, 2.0, 3.0, 4.0)), basis="a book")
    state = costs.state()
    assert list(state) == [*NAMES, "basis"]
    tokens = np.array([0, 1_000])
    np.testing.assert_array_equal(Costs.of(state).usd(tokens), costs.usd(tokens))
    assert Costs.of(state).basis == "a book"
