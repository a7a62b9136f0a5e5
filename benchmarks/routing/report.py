"""Outcomes as the benchmark reports them: a list of plain objects, and the same as a table to read.

In: Data, Outcomes, Setting. Out: one dict per method with every key, null where something is not defined; a text. Knows nothing
of how methods work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.routing.data import Data
from benchmarks.routing.evaluate import Outcome, Setting, diff_metric

__all__ = ["lines", "table"]

#: Roles that a planner's row is compared with: bounds know the answers, a shuffle is made of the row itself.
_PEERS = ("peer", "rule", "mix", "ensemble")
_PLAIN = ("cpt50", "cpt80", "quality_at_25", "quality_at_50", "quality_at_75", "cost_at_best_single")
_WITH_INTERVAL = ("apgr", "aiq", "quality_max", "matched_quality_diff", "quality_diff_at_60")
_DIGITS = 5


def lines(data: Data, outcomes: Sequence[Outcome], setting: Setting, left_out: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one object per method, those left out with their reason."""
    shared = {
        "rows": len(data),
        "rows_judged": int(data.whole.sum()),
        "groups": int(data.unit.max()) + 1,
        "repeats": len(setting.folds),
        "folds": len(setting.folds[0]),
        "models": list(data.models),
        "reference": data.models[data.reference],
        "best_single": data.models[data.strong],
        "costs": {m: _number(c) for m, c in data.costs.items()},
        "cost_basis": data.cost_basis,
        "data_notes": list(data.notes),
    }
    found = [_line(data, o, outcomes) | shared for o in outcomes]
    return found + [{"dataset": data.name, "method": n, "note": why} for n, why in left_out.items()]


def _line(data: Data, outcome: Outcome, others: Sequence[Outcome]) -> dict[str, Any]:
    line: dict[str, Any] = {"dataset": data.name, "method": outcome.name, "inputs": outcome.inputs, "role": outcome.role}
    for metric in _WITH_INTERVAL:
        if outcome.value.get(metric) is None:
            line |= {metric: None, f"{metric}_low": None, f"{metric}_high": None}
        else:
            line |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), map(_number, outcome.interval(metric)), strict=True))
    line |= {metric: _number(outcome.value.get(metric)) for metric in (*_PLAIN, "matched_cost_share")}
    line["decision_us"] = None if outcome.decision_us is None else round(outcome.decision_us, 1)
    line["fit_seconds"] = round(outcome.seconds, 1)
    if outcome.role == "planner":
        line |= _against(data, outcome, others)
    if outcome.note:
        line["note"] = outcome.note
    if outcome.chosen:
        line["chosen"] = [dict(c) for c in outcome.chosen]
    return line


def _against(data: Data, own: Outcome, others: Sequence[Outcome]) -> dict[str, Any]:
    """Return the differences to every peer that sees no more than this row does; the best peer has the highest metric."""
    metric = diff_metric(data)
    seen = ("text", "all") if own.inputs == "all" else ("text",)
    peers = {o.name: o for o in others if o.role in _PEERS and o.inputs in seen and o.value and not o.name.startswith("shuffle_")}
    diffs = {n: list(map(_number, own.interval(metric, o))) for n, o in peers.items()} if own.value else {}
    quality = {n: list(map(_number, own.interval("quality_max", o))) for n, o in peers.items()} if own.value else {}
    ranked = [n for n in diffs if peers[n].role != "ensemble" and diffs[n][0] is not None]
    best = max(ranked, key=lambda n: peers[n].value[metric], default=None)
    value, low, high = diffs[best] if best is not None else (None, None, None)
    return {
        "diff_metric": metric,
        "best_peer": best,
        "diff_to_best_peer": value,
        "diff_to_best_peer_low": low,
        "diff_to_best_peer_high": high,
        "diff_to_peers": diffs,
        "quality_max_diff_to_peers": quality,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), _DIGITS)


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the objects as text, one dataset after the other."""
    parts = []
    for name in dict.fromkeys(line["dataset"] for line in found):
        own = [line for line in found if line["dataset"] == name]
        parts.append("\n".join([_head(own[0]), *map(_row, own)]))
    return "\n\n".join(parts)


def _head(first: Mapping[str, Any]) -> str:
    rows = f"{first['rows_judged']:,} judged of {first['rows']:,} rows, {first['groups']:,} groups"
    said = f"{first['dataset']}: {rows}, reference {first['reference']}"
    notes = [f"costs {first['cost_basis']}", *first["data_notes"]]
    narrow = "".join(f"{c:>7}" for c in ("CPT50", "CPT80", "q25", "q50", "q75", "qmax"))
    columns = f"{'method':<24}{'APGR [95 %]':<24}{'AIQ [95 %]':<24}{narrow}{'cost@best':>10}{'µs':>9}"
    return "\n".join([said, *notes, columns])


def _row(line: Mapping[str, Any]) -> str:
    if "apgr" not in line or (line.get("note") and line.get("aiq") is None):
        return f"{line['method']:<24}{line['note']}"
    cells = [f"{line['method']:<24}", *(f"{_ranged(line, m):<24}" for m in ("apgr", "aiq"))]
    cells += [_cell(line["cpt50"], 7, 1), _cell(line["cpt80"], 7, 1)]
    cells += [_cell(line[k], 7, 3) for k in ("quality_at_25", "quality_at_50", "quality_at_75", "quality_max")]
    cells += [_cell(line["cost_at_best_single"], 10, 3), _cell(line["decision_us"], 9, 0)]
    text = "".join(cells)
    if line.get("best_peer"):
        value, low, high = (line[f"diff_to_best_peer{x}"] for x in ("", "_low", "_high"))
        text += f"   {line['diff_metric']} {value:+.4f} [{low:+.4f}, {high:+.4f}] over {line['best_peer']}"
    return text


def _ranged(line: Mapping[str, Any], metric: str) -> str:
    if line[metric] is None:
        return "–"
    return f"{line[metric]:.4f} [{_cell(line[metric + '_low'], 0, 3)}, {_cell(line[metric + '_high'], 0, 3)}]"


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'–' if value is None else format(value, f'.{digits}f'):>{width}}"
