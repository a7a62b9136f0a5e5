"""Choose which requests of a log to label for a budget, and what asking the candidates about them costs.

In: Traffic, candidate models, a budget, apps.yaml, a price book. Out: a Sample: the work to be done, with weights that stand for the
traffic, and an account of every request of the log. Asks nobody. Knows nothing of how answers are fetched or graded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from planner.errors import InputError
from planner.labels import eligible
from planner.labels.asking import Asked, terms_of
from planner.labels.draw import Ready, draw
from planner.labels.drawn import work_of
from planner.labels.sampled import Sample, account, by_app
from planner.labels.texts import texts_of
from planner.prices import PriceBook
from planner.traffic import Apps, Traffic

__all__ = ["LEAST", "prepare", "sample_labels"]

#: The fewest requests of an app that gets any: fewer cannot tell a loss of a few points from none.
LEAST = 50
_COLUMNS = ("request_id", "timestamp", "user", "session_id", "provider", "model", "prompt_version", "max_tokens", "weight", "service_tier")


def sample_labels(
    traffic: Traffic,
    candidates: Sequence[str],
    budget_usd: float,
    *,
    apps: Apps | None = None,
    book: PriceBook | None = None,
    seed: int = 0,
    unit: str = "session",
    least: int = LEAST,
    grader_usd: float = 0.0,
    expected_output: Mapping[str, float] | None = None,
    limit_tokens: int = 4_096,
    schemas: Mapping[str, Mapping[str, Any]] | None = None,
    providers: Collection[str] = (),
    at: dt.date | None = None,
) -> Sample:
    """Choose requests for ``budget_usd``: apps with most money at stake first, all kinds of requests, near duplicates once.

    Parameters
    ----------
    candidates: the models that should answer; today's own answer is reused from the log at no cost.
    budget_usd: [USD] for answers and grading together.
    apps: who may see what, and what may act; drafted from the log where not given, and then only providers that the log shows get
        any prompt.
    seed: of every draw; equal seeds give equal samples.
    unit: ``session``: the first turn stands for the session; ``request``: every request for itself.
    least: requests of an app that gets any.
    grader_usd: [USD] what grading one answer costs.
    expected_output: model → tokens of its answer; assumed as long as today's where not given.
    limit_tokens: output limit of a request for which the log states none.
    schemas: app → the JSON schema of its answers, which logs do not hold.
    providers: who may see prompts besides, where apps.yaml does not state it.
    at: the day whose prices hold; the catalogue's own where not given.

    Each item's ``weight`` is the requests it stands for divided by the probability of being drawn, so that a weighted total over
    samples is right on average (Horvitz and Thompson, JASA 47, 1952). Raises InputError, NeedsError or PriceError where nothing can
    be drawn.
    """
    asked = Asked(expected_output or {}, limit_tokens, grader_usd, providers)
    _check(budget_usd, unit, least, asked)
    ready = prepare(traffic, candidates, asked, apps=apps, book=book or PriceBook.load(), unit=unit, schemas=schemas or {}, at=at)
    found, terms = draw(ready, budget_usd, least, seed), ready.terms
    meta = {
        "traffic": traffic.hash, "candidates": list(candidates), "budget_usd": budget_usd, "grader_usd": grader_usd, "seed": seed,
        "unit": unit, "prices": terms.book.name, "at": str(terms.at), "schemas": dict(schemas or {}),
    }  # fmt: skip
    work = work_of(traffic, terms, found, ready.texts.size, meta, seed)
    return Sample(work, account(ready.frame, terms, found), by_app(ready.frame, terms, found, work))


def prepare(
    traffic: Traffic,
    candidates: Sequence[str],
    asked: Asked,
    *,
    apps: Apps | None,
    book: PriceBook,
    unit: str,
    schemas: Mapping[str, Mapping[str, Any]],
    at: dt.date | None,
) -> Ready:
    """Read and price a log once: everything that a draw needs and that no seed changes."""
    frame = traffic.frame(*_COLUMNS, *eligible.COLUMNS)
    apps = (apps or Apps.draft(traffic)).require(frame["app"][frame["purpose"] == "user"].unique())
    traffic.require_text("what is to be labelled")
    texts = texts_of(traffic)
    terms = terms_of(traffic, frame, candidates, apps.apps, book, at or book.date, asked)
    reason = terms.refused(eligible.reasons(frame, texts, terms.priced, apps.apps, {*schemas}))
    return Ready(frame, texts, terms, reason, unit)


def _check(budget_usd: float, unit: str, least: int, asked: Asked) -> None:
    if not 0 < budget_usd < float("inf"):
        raise InputError(f"a budget of {budget_usd!r}", "dollars above 0")
    if unit not in ("session", "request"):
        raise InputError(f"unit {unit!r}", "session or request")
    if least < 1 or asked.limit_tokens < 1:
        raise InputError(f"least {least}, limit_tokens {asked.limit_tokens}", "whole numbers from 1 on")
    if not 0 <= asked.grader_usd < float("inf"):
        raise InputError(f"grader_usd {asked.grader_usd!r}", "dollars from 0 on")
