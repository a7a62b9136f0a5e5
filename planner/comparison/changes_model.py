"""Models: the same one for less money, a newer sibling that is cheaper in every respect, and models that are going away.

In: a Context. Out: per app and logged model at most one change to another model name. Whether the answers stay as good is
not known from prices, so these are ``assumed``, say "test first", and stay out of the combined figure. Knows nothing of
other changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from planner.comparison.change import RETIRING, Change, saved_pusd
from planner.comparison.context import Context, Rowset, State
from planner.errors import PriceError
from planner.prices import PriceBook, Rates

__all__ = ["changes", "dominates", "family"]

_DATE = re.compile(r"[-@](?:20\d{6}|20\d\d-\d\d-\d\d)(?=$|[-:@])|-v\d+(?::\d+)?$|-latest$")
_VERSION = re.compile(r"(?<![a-z0-9.])\d+(?:[.-]\d+)*(?![a-z0-9])")


def changes(context: Context) -> list[Change]:
    """Return the model changes of every app."""
    return [c for app in context.names for c in _of_app(context, app)]


def family(model: str) -> tuple[str, tuple[int, ...]]:
    """Split a model's id into its family and its version; dates are dropped.

    >>> family("claude-sonnet-4-5"), family("gpt-5.4-mini"), family("gpt-4o-2024-08-06")
    (('claude-sonnet-#', (4, 5)), ('gpt-#-mini', (5, 4)), ('gpt-4o', ()))
    """
    name = _DATE.sub("", model.rsplit("/", 1)[-1].lower())
    numbers = tuple(int(n) for part in _VERSION.findall(name) for n in re.split(r"[.-]", part))
    return _VERSION.sub("#", name), numbers


def dominates(new: Rates, old: Rates) -> bool:
    """Say whether ``new`` costs no more than ``old`` in every bucket at every prompt length, and less in one."""
    lengths = sorted({-1, *(n for n, _ in new.above), *(n for n, _ in old.above)})
    pairs = [(_at(new, n).get(bucket), rate) for n in lengths for bucket, rate in _at(old, n).items()]
    pairs.append((new.usd_per_request, old.usd_per_request))
    return all(a is not None and a <= b for a, b in pairs) and any(a is not None and a < b for a, b in pairs)


def _at(rates: Rates, above: int) -> dict[str, float]:
    return dict(next((step for n, step in reversed(rates.above) if n <= above), rates.usd_per_mtok))


def _of_app(context: Context, app: str) -> Iterator[Change]:
    for provider, model, rows in context.groups(context.app_rows(app, context.open & context.ok)):
        ids = context.resolve(provider, model)
        if ids is None:
            continue
        leaving = _leaving(context.book, *ids)
        others = [*_newer(context, *ids), *_elsewhere(context, app, *ids)]
        worth = [(int(saved_pusd(context, rows, partial(_sent, *o)).sum()), o) for o in others]
        saved, best = max(worth, default=(0, ids))
        if saved > 0:
            yield _replaced(context, app, model, rows, ids, best, leaving)
        elif leaving:
            yield _must_move(app, model, rows, leaving)


def _leaving(book: PriceBook, provider: str, model: str) -> str:
    """Return what the book says about the model's end, "" for nothing."""
    return book.retired(model, provider) or ""


def _newer(context: Context, provider: str, model: str) -> list[tuple[str, str]]:
    """Return the provider's models of the same family, at least as new, with room for as much, that cost less throughout."""
    name, version = family(model)
    rates = context.book.rates
    siblings = rates[(rates["provider"] == provider) & (rates["tier"] == "standard")]["model"].unique()
    same = [m for m in siblings if m != model and family(m)[0] == name and family(m)[1] >= version]
    return [(provider, m) for m in same if _better(context, provider, m, model) and not _leaving(context.book, provider, m)]


def _better(context: Context, provider: str, new: str, old: str) -> bool:
    room, before = (context.book.context_window(m, provider) for m in (new, old))
    if room is None or before is None or room < before:
        return False
    try:
        ours, theirs = (context.book.quote(m, provider, at=context.date) for m in (new, old))
    except PriceError:
        return False
    return dominates(ours, theirs)


def _elsewhere(context: Context, app: str, provider: str, model: str) -> list[tuple[str, str]]:
    """Return the same model at the other providers that the app allows."""
    found = [(p, context.resolve(p, model)) for p in context.apps[app].allowed_providers]
    return [ids for _, ids in found if ids and ids[0] != provider and family(ids[1]) == family(model)]


def _replaced(context: Context, app: str, model: str, rows: Rowset, ids: tuple[str, str], best: tuple[str, str], leaving: str) -> Change:
    moved = best[0] != ids[0]
    reason = f" ({model}: {leaving})" if leaving else ""
    return Change(
        "same model elsewhere" if moved else "newer model",
        app,
        f"test first: answer {app} with {best[1]}{f' of {best[0]}' if moved else ''} instead of {model}{reason}",
        rows,
        partial(_sent, *best),
        "assumed",
        f"medium: {'a contract with the provider' if moved else 'change the model name'}, and compare answers on a sample before",
        "answers may differ, and the same text may count as more tokens",
        f"the log's tokens at the rates of {best[1]} ({best[0]}) of {context.at}"
        + ("" if moved else ": no dearer in any bucket, same family, at least as new, context window at least as large"),
    )


def _must_move(app: str, model: str, rows: Rowset, leaving: str) -> Change:
    return Change(
        RETIRING,
        app,
        f"move {app} off {model}: {leaving}",
        rows,
        lambda state, _: state,
        "estimated",
        "medium: choose a successor and compare answers on a sample before",
        "calls fail once the model is gone",
        "what the price book says about the model; no cheaper successor of its family is known, so nothing is claimed",
    )


def _sent(provider: str, model: str, state: State, rows: Rowset) -> State:
    return state.put(rows, provider=provider, model=model)
