"""Dated prices: the book, what rows cost, the audit of a log and its timeline, and the contract and the invoice beside it."""

from planner.prices.audit import Audit, audit
from planner.prices.book import PriceBook, Rates
from planner.prices.columns import on_date
from planner.prices.contract import Contract
from planner.prices.contracted import Contracted, contracted
from planner.prices.invoice import Invoice, read_invoice
from planner.prices.priced import Priced
from planner.prices.reconcile import reconcile
from planner.prices.reconciliation import Reconciliation
from planner.prices.timeline import Timeline, timeline

__all__ = [
    "Audit",
    "Contract",
    "Contracted",
    "Invoice",
    "PriceBook",
    "Priced",
    "Rates",
    "Reconciliation",
    "Timeline",
    "audit",
    "contracted",
    "on_date",
    "read_invoice",
    "reconcile",
    "timeline",
]
