"""The model card of a bundle, in Markdown.

In: a router and what its training found. Out: one page a reviewer can read: what it chooses among, how it was judged, where it
abstains, what is not promised. Holds no customer text. Knows nothing of files.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from planner.router import Router
from planner.training import Training

__all__ = ["card"]


def card(router: Router, training: Training | None, statement: str) -> str:
    """Return the page; ``training`` may be None, and its numbers are left out where they are another router's."""
    method = None if training is None else training.method(router)
    parts = [
        f"# Router {router.version}",
        _rule(router),
        "## Candidates",
        _candidates(router),
        f"Rates: {router.costs.basis}.",
        "## Where it abstains",
        _support(router),
        "## How it was judged",
        statement,
        *([] if training is None or method is None else [_table(training.table), _fitted(training, method)]),
        "## What it stores",
        "Weights of hashed tokens and their pairs that at least two units used, the names of models and apps, and made-up test requests. "
        "No text of any request.",
    ]
    return "\n\n".join(parts) + "\n"


def _rule(router: Router) -> str:
    kind = "the first turn of a session, and holds for the session" if router.unit == "session" else "every request on its own"
    if np.isneginf(router.tau):
        return f"Sends every request to {_reference(router)}."
    if np.isposinf(router.tau):
        return f"Sends every request to the cheapest candidate that can answer it, whatever it loses. It decides {kind}."
    if router.tau < 0:
        return (
            f"Sends a request to the candidate that is predicted to answer best, where its gain over {_reference(router)} is at least "
            f"{-router.tau:.4g}, else to the reference. It decides {kind}."
        )
    dollars = router.tau > 0 and not router.costs.basis.startswith("stated")
    price = f" (a wrong answer is taken to cost ${1 / router.tau:,.4g})" if dollars else ""
    return (
        f"Sends a request to the candidate that can answer it and whose predicted quality gain over {_reference(router)}, less "
        f"{router.tau:.4g} times its cost in USD, is largest{price}. It decides {kind}."
    )


def _reference(router: Router) -> str:
    own = "".join(f", for {app} `{model}`" for app, model in router.references)
    return f"the reference (`{router.reference}`{own})"


def _candidates(router: Router) -> str:
    c = router.costs
    fitted = not c.output_usd_per_mtok.any()
    lines = ["| model | input USD/Mtok | output USD/Mtok | expected output tokens | USD/request | retires | known from |"]
    lines.append("|---|---|---|---|---|---|---|")
    for k, (name, can) in enumerate(zip(router.candidates, router.capabilities, strict=True)):
        rates = (c.input_usd_per_mtok[k], c.output_usd_per_mtok[k], c.output_tokens[k], c.usd_per_request[k])
        said = [f"{r:.6g}" if i not in (1, 2) or not fitted else "within the others" for i, r in enumerate(rates)]
        lines.append(f"| {name} | {' | '.join(said)} | {can.retires or 'not announced'} | {can.source} |")
    return "\n".join(lines)


def _support(router: Router) -> str:
    known = router.support
    apps = "any app" if known.apps is None else f"the apps {', '.join(known.apps)}"
    size = "any length" if known.max_tokens is None else f"at most {known.max_tokens:,} tokens"
    cut = "" if known.cut_text else " Requests whose text is cut go to the reference."
    other = "" if known.apps is None else " Of any other app without a reference a request keeps the model it asked for."
    return f"Steers {apps}, {size}. Everything else, and requests without text, go to the reference.{cut}{other}"


def _table(table: pd.DataFrame) -> str:
    frame = table.reset_index()
    rows = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    rows += ["| " + " | ".join(v if isinstance(v, str) else f"{v:.5g}" for v in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(rows)


def _fitted(training: Training, method: str) -> str:
    notes = training.notes
    penalty = f" (ridge penalty {notes['alpha']:g})" if method == "learned" else ""
    return (
        f"This router is the row {method!r}. Fitted on {notes['fit_rows']:,} rows{penalty}, judged on {notes['judged_rows']:,} others; "
        f"{notes['units']}; floor {training.floor:g}; labels {training.labels_hash[:12]}."
    )
