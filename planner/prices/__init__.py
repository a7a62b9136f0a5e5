"""Dated prices: the book, what rows cost, and the audit of a log."""

from planner.prices.audit import Audit, audit
from planner.prices.book import PriceBook, Rates
from planner.prices.columns import on_date
from planner.prices.priced import Priced

__all__ = ["Audit", "PriceBook", "Priced", "Rates", "audit", "on_date"]
