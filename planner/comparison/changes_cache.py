"""Prompt caches: shared beginnings of prompts that were paid in full, and cache writes that nobody read.

In: a Context with prefixes (of text, or of a trace's block ids). Out: one change per app for what could have been read, one
for writes that were in vain. A beginning is taken to be written whenever it is cold, whether or not anybody comes in
time: no foresight. Knows nothing of other changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from planner.comparison.change import Change, saved_pusd
from planner.comparison.context import Context, Rowset, State
from planner.comparison.prompt_cache import moved, shared_and_warm
from planner.prices.provider_rules import PromptCache, prompt_cache
from planner.schema import TOKEN_BUCKETS

__all__ = ["changes", "readable"]


def changes(context: Context) -> list[Change]:
    """Return the prompt-cache changes of every app."""
    found = (make(context, app) for app in context.names for make in (_missed, _unread))
    return [c for c in found if c is not None]


def readable(context: Context) -> NDArray[np.bool_]:
    """Return the rows whose prompt's beginning the log shows."""
    return (context.prefixes.size > 0) & context.text_only & (context.prefixes.partial | context.rows.full_text)


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows of one provider and model, the rule for them, and the lifetime (seconds, bucket of its writes) that pays best.

    ``rows`` are all that fill and read the cache, ``changed`` those that pay differently.
    """

    rows: Rowset
    changed: Rowset
    rule: PromptCache
    model: str
    lifetime: tuple[int, str]
    saved: int


def _missed(context: Context, app: str) -> Change | None:
    groups = [g for g in _groups(context, app) if g.saved > 0]
    if not groups:
        return None
    rows = np.sort(np.concatenate([g.changed for g in groups]))
    rules = list(dict.fromkeys(g.rule for g in groups))
    promised = all(r.explicit for r in rules)
    models = ", ".join(dict.fromkeys(g.model for g in groups))
    return Change(
        "prompt cache",
        app,
        f"read the shared beginning of {app}'s prompts from the prompt cache of {models}",
        rows,
        partial(_edit, context, tuple(groups)),
        "estimated" if promised and context.timed else "assumed",
        f"low: {'; '.join(dict.fromkeys(r.setting for r in rules))}",
        "none for answers" + ("" if promised else "; the provider promises no hit, and its cache may be spread over machines"),
        _how(groups, rules),
    )


def _how(groups: list[_Group], rules: list[PromptCache]) -> str:
    lives = ", ".join(dict.fromkeys(f"{g.lifetime[0] // 60} min" for g in groups))
    least = "/".join(dict.fromkeys(f"{r.min_tokens:,}" for r in rules))
    return (
        f"equal text from the first character on, seen complete within {lives}, at least {least} tokens; tokens in proportion to "
        f"size; cold beginnings pay the write rate; {'; '.join(dict.fromkeys(r.source for r in rules))}"
    )


def _groups(context: Context, app: str) -> Iterator[_Group]:
    rows = context.app_rows(app, context.open & context.ok & readable(context) & (context.logged.tier != "batch"))
    for provider, model, group in context.groups(rows):
        ids = context.resolve(provider, model)
        rule = prompt_cache(*ids, context.date) if ids else None
        if rule:
            yield max((_priced(context, group, rule, model, life) for life in rule.lifetimes), key=lambda g: g.saved)


def _priced(context: Context, rows: Rowset, rule: PromptCache, model: str, lifetime: tuple[int, str]) -> _Group:
    """Price one lifetime."""
    after = _edit(context, (_Group(rows, rows, rule, model, lifetime, 0),), context.logged, rows).tokens
    changed = rows[(after[rows] != context.logged.tokens[rows]).any(axis=1)]
    saved = int(saved_pusd(context, changed, lambda state, own: state.put(own, tokens=after[own])).sum())
    return _Group(rows, changed, rule, model, lifetime, saved)


def _edit(context: Context, groups: tuple[_Group, ...], state: State, rows: Rowset) -> State:
    """Cache again among the requests that are still called and not in a batch; only ``rows`` change."""
    for group in groups:
        own = group.rows[state.called[group.rows] & (state.tier[group.rows] != "batch")]
        warm, shared = _tokens(context, own, group)
        column = TOKEN_BUCKETS.index(group.lifetime[1])
        state = state.put(own, tokens=moved(state.tokens[own], warm, shared, column, np.isin(own, rows)))
    return state


def _tokens(context: Context, rows: Rowset, group: _Group) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the warm and the shared leading tokens of ``rows``: 0 below the provider's minimum, in its steps."""
    prefixes, rule = context.prefixes, group.rule
    shared, warm = shared_and_warm(prefixes, rows, context.start_ms[rows], context.ready_ms[rows], group.lifetime[0])
    total = context.rows.tokens[rows, :4].sum(axis=1)
    everyone = np.zeros((len(prefixes), 2), np.int64)
    everyone[rows] = np.column_stack([warm, shared])
    shares = np.column_stack([prefixes.share(everyone[:, 0])[rows], prefixes.share(everyone[:, 1])[rows]])
    tokens = np.floor(shares * total[:, None] / rule.step).astype(np.int64) * rule.step
    tokens[tokens < rule.min_tokens] = 0
    return tokens[:, 0], tokens[:, 1]


def _unread(context: Context, app: str) -> Change | None:
    """Find writes of an app and model after which, within their lifetime, that app read nothing from that model's cache."""
    found = [_vain(context, group) for _, _, group in context.groups(context.app_rows(app, context.open))]
    rows = np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
    if not len(rows) or saved_pusd(context, rows, _unwritten).sum() <= 0:
        return None
    return Change(
        "unread cache writes",
        app,
        f"stop marking {app}'s prompts for caching where nothing is read back in time",
        rows,
        _unwritten,
        "estimated",
        "low: drop cache_control from these calls, or keep the shared part first so that it is read",
        "none for answers",
        "writes with no cache read by the same app and model within their lifetime, charged as plain input instead",
    )


def _vain(context: Context, rows: Rowset) -> Rowset:
    tokens, start = context.rows.tokens[rows], context.start_ms[rows]
    reads = np.sort(start[tokens[:, 1] > 0])
    lifetime = np.where(tokens[:, 3] > 0, 3_600_000, 300_000)
    first = np.searchsorted(reads, start, side="right")
    upcoming = np.append(reads, np.iinfo(np.int64).max)[first]
    vain: Rowset = rows[(tokens[:, 2:4].sum(axis=1) > 0) & (upcoming - start > lifetime)]
    return vain


def _unwritten(state: State, rows: Rowset) -> State:
    tokens = state.tokens[rows].copy()
    tokens[:, 0] += tokens[:, 2] + tokens[:, 3]
    tokens[:, 2:4] = 0
    return state.put(rows, tokens=tokens)
