"""Dated prices: the book, what rows cost, and the audit of a log."""

from planner.prices.book import PriceBook, Rates
from planner.prices.priced import Priced

__all__ = ["PriceBook", "Priced", "Rates"]
