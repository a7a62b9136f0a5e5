"""The flattened book against genai-prices itself, over its whole catalogue."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pytest
from genai_prices.types import StartDateConstraint, TimeOfDateConstraint
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.pricing import genai_usage, genai_usd
from planner.prices import PriceBook
from planner.prices.catalogue import CONTEXTS, PROVIDERS
from planner.prices.sheets import TIERS, Entry, thresholds

TOLERANCE_USD = 1e-9
MODELS = {(p.id, m.id): (p, m) for p in PROVIDERS for m in p.models}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


def _usd(entry: Entry, tokens: list[int], at: datetime) -> float:
    """Return what genai-prices charges for the model of an entry, found by id: some ids do not match their own rules."""
    provider, model = MODELS[entry.provider, entry.model]
    usage, context = genai_usage(tokens), CONTEXTS[entry.tier]
    return float(model.calc_price(usage, provider, genai_request_timestamp=at, price_context=context).total_price)


def _moments(entry: Entry) -> list[datetime]:
    """Return each start date and daily bound that the catalogue itself states, with the last microsecond before it."""
    _, model = MODELS[entry.provider, entry.model]
    prices = model.prices if isinstance(model.prices, list) else []
    limits = [x.constraint for x in (*prices, *(model.price_variants or ())) if x.constraint is not None]
    starts = [datetime.combine(c.start_date, time(), UTC) for c in limits if isinstance(c, StartDateConstraint)]
    daily = [t for c in limits if isinstance(c, TimeOfDateConstraint) for t in (c.start_time, c.end_time)]
    bounds = [datetime.combine(day, t) for day in {date(2026, 9, 9), *(s.date() for s in starts)} for t in daily]
    edges = [datetime(2025, 1, 1, tzinfo=UTC), *starts, *bounds]
    return [moment for at in edges for moment in (at, at - timedelta(microseconds=1))]


def _tokens(entry: Entry) -> list[list[int]]:
    """Every bucket alone at prime counts, all together, and both sides of every context threshold."""
    primes = [1_009, 2_003, 3_001, 4_001, 5_003, 6_007]
    rows = [[p if i == j else 0 for j in range(6)] for i, p in enumerate(primes)]
    steps = sorted({above for sheet in entry.sheets if sheet is not None for above in thresholds(sheet)})
    for above in steps:
        rows += [[above - 60, 10, 20, 30, 7, 3], [above - 60, 10, 20, 31, 7, 3]]
    return [*rows, primes, [0] * 6]


def test_equals_genai_prices_over_the_whole_catalogue(book: PriceBook) -> None:
    """Every model, tier, era, daily window, context tier and bucket costs what calc_price says, to 1e-9 USD."""
    cases = [(e, m, t) for e in book._entries for m in _moments(e) for t in _tokens(e)]
    columns = [[e.provider for e, _, _ in cases], [e.model for e, _, _ in cases], [e.tier for e, _, _ in cases]]
    times = np.array([m.replace(tzinfo=None) for _, m, _ in cases], "datetime64[us]")
    priced = book.price(*columns, np.array([t for _, _, t in cases]), times)
    assert (priced.reason == 0).mean() > 0.8
    worst = 0.0
    for i in np.flatnonzero(priced.reason == 0):
        entry, moment, tokens = cases[i]
        worst = max(worst, abs(priced.cost_pusd[i] / 1e12 - _usd(entry, tokens, moment)))
    assert worst <= TOLERANCE_USD


def test_only_missing_rates_are_left_unpriced(book: PriceBook) -> None:
    """A row has a reason only where its tier has not begun or a bucket with tokens has no rate in the catalogue."""
    cases = [(e, t) for e in book._entries for t in _tokens(e)]
    columns = [[e.provider for e, _ in cases], [e.model for e, _ in cases], [e.tier for e, _ in cases]]
    priced = book.price(*columns, np.array([t for _, t in cases]), book.date)
    reasons = {priced.reasons[i] for i in priced.reason}
    assert all(r == "" or "no " in r for r in reasons)
    zero = (priced.reason == 0) & (priced.cost_pusd == 0) & (np.array([t for _, t in cases]).sum(1) > 0)
    at = datetime(book.date.year, book.date.month, book.date.day, tzinfo=UTC)
    assert all(_usd(*cases[i], at) == 0 for i in np.flatnonzero(zero))


NAMED = sorted(key for key, (_, model) in MODELS.items() if model.is_match(key[1]))
counts = st.one_of(st.integers(0, 2_000), st.integers(0, 2_000_000))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(NAMED),
    st.sampled_from(TIERS),
    st.tuples(*[counts] * 6),
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
)
def test_property_any_model_tier_tokens_and_time(
    book: PriceBook, name: tuple[str, str], tier: str, tokens: tuple[int, ...], at: datetime
) -> None:
    """Whatever is priced costs what calc_price says; what is not priced has a reason and costs 0."""
    priced = book.price(*name, tier, np.array([tokens]), at)
    if priced.reason[0]:
        assert priced.cost_pusd[0] == 0
        assert priced.reasons[priced.reason[0]]
    else:
        assert priced.cost_pusd[0] / 1e12 == pytest.approx(genai_usd(*name, tier, tokens, at), abs=TOLERANCE_USD)
    assert priced.parts_pusd.sum() == priced.cost_pusd[0]


def test_contexts_are_all_that_the_catalogue_knows_of_service_tiers() -> None:
    """No service tier of the catalogue is unknown to us: a new spelling in a newer genai-prices fails here."""
    ours = {pair for context in CONTEXTS.values() for pair in context.items()} | {("service_tier", "default")}
    not_tiers = {"route", "search_type"}
    found = {pair for p in PROVIDERS for m in p.models for v in m.price_variants or () for pair in v.when.items()}
    assert {pair for pair in found if pair[0] not in not_tiers} <= ours
