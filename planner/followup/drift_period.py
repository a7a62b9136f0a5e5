"""A period of a log as drift compares it: what users asked, what the router makes of it, and what came of it, column by column.

In: rows of a log and a router. Out: every measure as columns of its requests, and the days and groups these are counted by; no text.
Knows nothing of tests or of another period.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.bundle.profile import MOST_ROWS
from planner.errors import NeedsError
from planner.followup.drift_tally import Cells, Column, Numbers, Parts, Words
from planner.followup.drift_words import FEATURES, MEASURES, level
from planner.router import REASONS, Requests, Router
from planner.router.features import TURN, parts
from planner.router.scripts import SCRIPTS, script
from planner.router.structure import STRUCTURE, amounts, structure
from planner.schema import STATUSES
from planner.stats import BUCKETS, draws
from planner.text.prints import text_keys
from planner.traffic import Traffic
from planner.traffic.rows import Coded, Rows, coded, load_rows

__all__ = ["LEAST", "Period", "family", "period"]

F64 = NDArray[np.float64]
#: Requests without which a period is none.
LEAST = 100
#: Requests whose texts are held at a time.
_PIECE = 4_096
_TEXT = ("messages", "app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
#: The tag of a request that the hook sent elsewhere, or that went on where an earlier one had been sent.
_MOVED = '"planner-arm:(routed|pinned)"'
_DATED = re.compile(r"[-@](20\d{6}|20\d\d-\d\d-\d\d)$")
_OK = STATUSES.index("ok")


@dataclass(frozen=True, eq=False)
class Period:
    """``rows`` are those of the users' own requests that reached a provider; ``columns``: measure → name → column of them."""

    rows: Rows
    cells: Cells
    columns: Mapping[str, Mapping[str, Column]]

    @property
    def days(self) -> int:
        """Days on which anything was asked."""
        return len(self.cells.days)


def family(model: str) -> str:
    """Return a model's name without its provider and date.

    >>> family("openai/gpt-5.4-2026-03-05"), family("gpt-5.4-mini")
    ('gpt-5.4', 'gpt-5.4-mini')
    """
    return _DATED.sub("", model.rpartition("/")[2])


def period(traffic: Traffic, router: Router, at: NDArray[np.int64] | None = None, groups: int = BUCKETS) -> Period:
    """Read the requests at ``at`` (ascending positions, default all); users fall into ``groups``, a power of two up to BUCKETS.

    Texts are read of at most MOST_ROWS requests, drawn by request id. NeedsError for fewer than LEAST requests, or without text.
    """
    traffic.require_text("drift")
    rows = load_rows(traffic, at)
    mine = np.flatnonzero(rows.steerable)
    if len(mine) < LEAST:
        raise NeedsError(f"a period with {len(mine):,} requests of users that reached a provider", f"at least {LEAST}", "take a longer one")
    places = mine if at is None else at[mine]
    rows = rows.take(mine)
    days, day = np.unique(rows.timestamp.astype("datetime64[D]"), return_inverse=True)
    cells = Cells(day.astype(np.int64), days, rows.bucket % groups, groups, rows.weight)
    asked, came = _asked(traffic, router, rows, places), _came(traffic, rows, places)
    return Period(rows, cells, {name: {**asked.get(name, {}), **came.get(name, {})} for name in MEASURES})


def _asked(traffic: Traffic, router: Router, rows: Rows, places: NDArray[np.int64]) -> dict[str, dict[str, Column]]:
    """Return what the router sees and decides, of a draw of the requests; and the apps of all of them."""
    at = np.sort(np.argsort(draws.uniform(0, rows.key, "profile"), kind="stable")[:MOST_ROWS])
    shape, gains, decided, reasons, scripts, templates = _read(
        traffic, router, places[at], str(rows.timestamp.max().astype("datetime64[D]"))
    )
    found: dict[str, dict[str, Column]] = {}
    for j, name in enumerate(STRUCTURE):
        found.setdefault(FEATURES[name][0], {})[name] = Numbers(at, shape[:, j].astype(float), partial(level, name))
    found["language"]["scripts"] = Words(at, Coded(scripts, SCRIPTS), "requests mostly in {} script".format)
    found["prompt templates"] |= {
        "prompt_versions": Words(at, coded(traffic.take(places[at], "prompt_version")["prompt_version"]), _version),
        "templates": Words(at, _keyed(templates), "requests with the system prompt {}".format),
    }
    found["app mix"] = {"apps": Words(np.arange(len(rows)), rows.app, "requests of {}".format)}
    found["router scores"] = {
        name: Numbers(at, gains[:, k], f"requests on which {name} is predicted to gain {{:.3f}} or more".format)
        for k, name in enumerate(router.candidates)
    }
    found["router decisions"] = {"decisions": Words(at, Coded(decided, router.candidates), "requests that the router sends to {}".format)}
    found["abstentions"] = {"reasons": Words(at, Coded(reasons, REASONS), "requests with the reason '{}'".format)}
    return found


def _version(name: str) -> str:
    return f"requests with the prompt version {name}" if name else "requests without a prompt version"


def _came(traffic: Traffic, rows: Rows, places: NDArray[np.int64]) -> dict[str, dict[str, Column]]:
    """Return what came of the requests; models, lengths, caches and failures of those that the router did not send elsewhere."""
    everything, kept = np.arange(len(rows)), np.flatnonzero(~_moved(traffic, places))
    own, tokens = rows.take(kept), rows.tokens
    read, answered = tokens[:, :4].sum(1), np.flatnonzero(own.status == _OK)
    asked = Numbers(everything, np.where(read > 0, read, np.nan), lambda n: f"requests of {n:,.0f} input tokens or more")
    written = Numbers(kept[answered], own.tokens[answered, 4:].sum(1).astype(float), lambda n: f"answers of {n:,.0f} tokens or more")
    failed = Coded(own.status.astype(np.int32), STATUSES)
    return {
        "prompt length": {"input_tokens": asked},
        "model mix": {"models": Words(kept, _families(own.model), "requests answered by {}".format)},
        "model versions": {"models": Words(everything, rows.model, "requests answered by {}, of its kind".format, family)},
        "output length": {"output_tokens": written},
        "cached share": {
            "cached": Parts(
                kept,
                own.tokens[:, 1].astype(float),
                own.tokens[:, :4].sum(1).astype(float),
                "input tokens read from the provider's prompt cache",
            )
        },
        "failures": {"status": Words(kept, failed, "requests that ended as '{}'".format)},
    }


def _families(models: Coded) -> Coded:
    """Return the families of models."""
    names = {family(name): None for name in models.values}
    place = {name: k for k, name in enumerate(names)}
    codes = np.array([place[family(name)] for name in models.values] or [0], np.int32)
    return Coded(codes[models.codes], tuple(names))


def _moved(traffic: Traffic, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    tags = traffic.take(places, "tags")["tags"]
    found: NDArray[np.bool_] = pc.match_substring_regex(tags, _MOVED).fill_null(False).to_numpy(zero_copy_only=False)
    return found


def _read(traffic: Traffic, router: Router, at: NDArray[np.int64], day: str) -> tuple[NDArray[Any], ...]:
    """Return structure, gains, decision, reason, script and template key of the requests at ``at``, some thousand at a time."""
    found = []
    for start in range(0, len(at), _PIECE):
        table = traffic.take(at[start : start + _PIECE], *_TEXT)
        requests = Requests.of(**{name: table[name].to_pylist() for name in _TEXT}, unit=router.unit)
        text = np.concatenate([amounts(p.ids, p.bounds) for p in parts(requests.user, TURN)])
        scores = router.scores(requests, day)
        codes, why = router.choose(scores)
        scripts = np.array([SCRIPTS.index(script(t)) for t in requests.user], np.int32)
        gains = np.where(np.isfinite(scores.gains), scores.gains, np.nan).astype(float)
        shape = structure(requests, text)
        found.append((shape, gains, codes.astype(np.int32), why.astype(np.int32), scripts, text_keys(requests.system)))
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))


def _keyed(keys: NDArray[np.uint64]) -> Coded:
    """Return keys of texts as short words that cannot be turned back into the texts."""
    names, codes = np.unique(keys, return_inverse=True)
    return Coded(codes.astype(np.int32), tuple(f"{int(k):016x}"[:8] for k in names))
