"""What a back-test says of each lever: which parts of the simulator it rests on, and whether these hold on the user's own log.

In: the scored rows and the natural experiments. Out: hit, miss or unproven for every part and every lever, with the reason in words.
Knows nothing of how anything was predicted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

__all__ = ["HIT", "MISS", "PARTS", "RESTS_ON", "UNPROVEN", "WORDS", "judge", "lever_verdicts"]

HIT, MISS, UNPROVEN = "hit", "miss", "unproven"
#: Part of the simulator → the measures that test it.
PARTS: Mapping[str, tuple[str, ...]] = {
    "answer lengths": ("output_tokens",),
    "prompt cache": ("prompt_cache_tokens",),
    "exact cache": ("cache_hits",),
    "failures": ("failures",),
    "retries": ("calls",),
    "latency": ("latency_p50_ms", "latency_p95_ms"),
    "model ratios": (),
}
#: What a measure is called where a reader may take it for another one.
WORDS: Mapping[str, str] = {
    "prompt_cache_tokens": "cached tokens, by the simulated cache alone,",
    "cache_read_tokens": "cached tokens, as billed,",
}
#: Lever → the parts it rests on; the log cannot show what a lever with none would do.
RESTS_ON: Mapping[str, tuple[str, ...]] = {
    "exact_cache": ("exact cache",),
    "prompt_cache": ("prompt cache",),
    "retry": ("failures", "retries"),
    "fallback": ("failures", "model ratios"),
    "timeout": ("latency",),
    "hedge": ("latency",),
    "stream": ("latency",),
    "route": ("model ratios",),
    "cascade": ("model ratios",),
    "semantic_cache": (),
    "compress": (),
    "batch": (),
    "micro_batch": (),
    "rate_limit": (),
}
#: So near to what happened, as a share of it, no prediction is a miss: with enough requests every model is wrong by a little.
NEAR = 0.05
_NOTHING = {
    "answer lengths": "no answers with token counts",
    "prompt cache": "no prompt-cache reads in the first period of an app whose text or block ids are there, under a provider's known rule",
    "exact cache": "no answers from the gateway's own cache",
    "failures": "no failed requests: there were none, or the log does not keep them",
    "retries": "no request that was tried again",
    "latency": "no latencies",
    "model ratios": "no app whose main model changed, with labels or logged randomisation that pair the two models",
}


def judge(table: pd.DataFrame, switches: pd.DataFrame) -> pd.DataFrame:
    """Return one row a part and app (and "all"): tested, missed, verdict and reason.

    A part misses in an app where a measure lies outside the interval at the level of all apps together and is off by more than 5 %; it
    misses as a whole where it misses anywhere, and is unproven where one of its measures could be judged nowhere. Model ratios are tested
    by the natural experiments.
    """
    found = []
    for part, measures in PARTS.items():
        rows = _of_switches(switches) if part == "model ratios" else table[table["measure"].isin(measures)]
        rows = rows[_seen(part, rows)]
        for app in sorted({*rows["app"]} - {"all"}):
            found.append(_row(part, app, rows[rows["app"] == app]))
        found.append(_row(part, "all", rows))
    return pd.DataFrame(found)


def _seen(part: str, rows: pd.DataFrame) -> pd.Series:
    """Say which rows test a part at all: what neither happened nor was expected tests nothing."""
    if part == "retries":
        return (rows["predicted"] > rows["requests"] * (1 + 1e-9)) | (rows["actual"] > rows["requests"] * (1 + 1e-9))
    if part in ("exact cache", "prompt cache", "failures"):
        return (rows["actual"] > 0) | (rows["predicted"] > 0)
    return pd.Series(True, rows.index)


def _of_switches(switches: pd.DataFrame) -> pd.DataFrame:
    """Bring natural experiments to the columns of the table; all measures of all of them are held together."""
    return switches.assign(hit_together=switches["hit"], low_together=switches["low"], requests=np.nan)


def _row(part: str, app: str, rows: pd.DataFrame) -> dict[str, object]:
    tested = rows[rows["hit_together"].notna()]
    off = (tested["predicted"] / tested["actual"].where(tested["actual"] > 0) - 1).abs().fillna(np.inf).astype(float)
    missed = tested[(tested["hit_together"] == False) & (off > NEAR)]  # noqa: E712 – objects: True, False or None
    base = {"part": part, "app": app, "tested": len(tested), "missed": len(missed)}
    if len(missed):
        told = missed[missed["app"] != "all"] if (missed["app"] != "all").any() else missed
        worst = told.iloc[int(off[told.index].to_numpy().argmax())]
        return {**base, "verdict": MISS, "reason": _told(worst)}
    blind = sorted({*rows["measure"]} - {*tested["measure"]}) if len(rows) else []
    if len(tested) and blind:
        return {**base, "verdict": UNPROVEN, "reason": f"too few users or requests in the first period to judge {', '.join(blind)}"}
    if len(tested):
        return {**base, "verdict": HIT, "reason": f"{len(tested)} of {len(tested)} predictions hold"}
    why = "too few users or requests in the first period for an interval" if len(rows) and part != "model ratios" else _NOTHING[part]
    return {**base, "verdict": UNPROVEN, "reason": why}


def _told(row: pd.Series) -> str:
    predicted, low, high, actual = (_plain(row[name]) for name in ("predicted", "low", "high", "actual"))
    return f"{WORDS.get(row['measure'], row['measure'])} in {row['app']}: predicted {predicted} [{low}, {high}], was {actual}"


def _plain(x: float) -> str:
    """Write a number whole from 100 on and to three digits below, never as a power of ten.

    >>> _plain(1_312_044.0), _plain(3148.3), _plain(0.0201)
    ('1,312,044', '3,148', '0.0201')
    """
    places = 0 if not x or abs(x) >= 100 else max(2 - int(np.floor(np.log10(abs(x)))), 0)
    return f"{x:,.{places}f}"


def lever_verdicts(parts: pd.DataFrame) -> pd.DataFrame:
    """Return one row a lever: verdict, whether it is on by default, and why."""
    whole = parts[parts["app"] == "all"].set_index("part")
    found = []
    for lever, names in RESTS_ON.items():
        own = whole.loc[list(names)]
        verdict = MISS if (own["verdict"] == MISS).any() else HIT if len(own) and (own["verdict"] == HIT).all() else UNPROVEN
        telling = own[own["verdict"] == verdict]
        reasons = "; ".join(f"{part}: {reason}" for part, reason in telling["reason"].items())
        reason = reasons or "nothing that was logged shows what it would do"
        found.append({"lever": lever, "verdict": verdict, "on_by_default": verdict != MISS, "reason": reason})
    return pd.DataFrame(found)
