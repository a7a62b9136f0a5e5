"""Sessions rebuilt from the text of a log whose session ids are hidden, held against those ids.

In: the SYNTHETIC sample, or a log with session ids (``--log``). Out: precision and recall over pairs of requests of one conversation,
among the requests with whole text and among all, and over links from a turn to the one before it; with users known and hidden.
Run: ``python -m benchmarks.sessions [--log FOLDER] --json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

import planner
from planner.traffic import Traffic
from planner.traffic.rewrite import rewritten
from planner.traffic.sessions import rebuilt, sessions_of


def measure(traffic: Traffic, folder: Path, hide_users: bool) -> dict[str, Any]:
    """Hide what names conversations, rebuild them, and compare with what was hidden."""
    hidden = rewritten(traffic, folder / "hidden", _hider(("session_id", "turn", *(("user",) if hide_users else ()))))
    frame = traffic.frame("session_id", "timestamp", "text_state")
    again = rebuilt(hidden, folder / "rebuilt").frame("session_id")["session_id"]
    whole = (frame["text_state"] == "full").to_numpy()
    true, made = frame["session_id"], again
    links = _links(frame, sessions_of(hidden).parent, whole)
    line = {"users": "hidden" if hide_users else "known", "requests": len(frame), "with text": int(whole.sum())}
    return line | _shares("pairs with text", *_pairs(true[whole], made[whole])) | _shares("pairs", *_pairs(true, made)) | links


def _hider(columns: tuple[str, ...]) -> Any:
    def change(rows: pa.Table, _: NDArray[np.int64]) -> pa.Table:
        for name in columns:
            place = rows.column_names.index(name)
            rows = rows.set_column(place, name, pa.nulls(len(rows), rows.schema.field(name).type))
        return rows

    return change


def _pairs(true: pd.Series, made: pd.Series) -> tuple[int, int, int]:
    """Count pairs of requests of one conversation: in both, as rebuilt, in truth."""
    both = pd.DataFrame({"true": true.to_numpy(), "made": made.to_numpy()}).dropna().groupby(["true", "made"]).size()
    return tuple(int((n * (n - 1) // 2).sum()) for n in (both, made.value_counts(), true.value_counts()))  # type: ignore[return-value]


def _links(frame: pd.DataFrame, parent: NDArray[np.int64], whole: NDArray[np.bool_]) -> dict[str, float]:
    """Compare each turn's parent with the turn before it, among turns with text whose predecessor has text."""
    ordered = frame.assign(row=np.arange(len(frame)))[whole].sort_values(["session_id", "timestamp"])
    before = ordered.groupby("session_id")["row"].shift()
    truth = np.full(len(frame), -1)
    truth[ordered["row"]] = before.fillna(-1).astype(int)
    right = int(((truth == parent) & (truth >= 0)).sum())
    return _shares("links", right, int((parent >= 0).sum()), int((truth >= 0).sum()))


def _shares(what: str, both: int, made: int, true: int) -> dict[str, float]:
    return {f"precision, {what}": both / max(made, 1), f"recall, {what}": both / max(true, 1)}


def main() -> None:
    """Print the table, or one JSON value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", help="a log with session ids and text; default: the sample")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    traffic = planner.read(options.log, text=True) if options.log else planner.load_sample()[0]
    with TemporaryDirectory() as folder:
        lines = [measure(traffic, Path(folder) / str(hide), hide) for hide in (False, True)]
    print(json.dumps(lines) if options.json else pd.DataFrame(lines).T.to_string(header=False))


if __name__ == "__main__":
    main()
