"""What a reading could only read in part, or named by nothing: what its numbers leave out without showing it.

In: a Traffic. Out: the files of which the rest is missing, and whether what was to name the apps named none. Knows nothing of how it is
said.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import islice

import pyarrow.compute as pc
import pyarrow.parquet as pq

from planner.traffic.handle import Traffic
from planner.traffic.streams import CUT, DAMAGED

__all__ = ["Ended", "ended_early", "nameless", "tag_prefixes"]

_LOOKED_AT_BATCHES, _SHARE = 4, 0.01


@dataclass(frozen=True, slots=True)
class Ended:
    """A file that ends early.

    Parameters
    ----------
    file: its name, as in ``meta["files"]``.
    rows: how many rows of it were read, accepted or set aside, before its end; None where too many files were read to count each.
    why: what its end looked like, and after how many bytes it came.
    """

    file: str
    rows: int | None
    why: str


def ended_early(traffic: Traffic) -> list[Ended]:
    """Return the files of ``traffic`` that end early, in the order in which they were read."""
    told = pq.read_table(traffic.folder / "quarantine.parquet", columns=["file", "reason"])
    reasons = told["reason"]
    cut = told.filter(pc.or_(pc.match_substring(reasons, DAMAGED), pc.match_substring(reasons, CUT)))
    found = dict(zip(cut["file"].to_pylist(), cut["reason"].to_pylist(), strict=True))
    return [Ended(file, _rows(traffic, file), why) for file, why in found.items()]


def _rows(traffic: Traffic, file: str) -> int | None:
    counts = traffic.meta["files"].get(file)
    return sum(counts.values()) - 1 if counts else None


def nameless(traffic: Traffic) -> bool:
    """Say whether the log was told what names its apps, and every request has the name of those without any."""
    if traffic.meta.get("app_from") is None or not len(traffic):
        return False
    return all(pc.all(pc.equal(batch["app"], "default")).as_py() for batch in traffic.batches(("app",)))


def tag_prefixes(traffic: Traffic) -> list[str]:
    """Return what the tags of the log's first requests have before a colon, the most frequent first, without rare ones."""
    found: Counter[str] = Counter()
    seen = 0
    for batch in islice(traffic.batches(("tags",)), _LOOKED_AT_BATCHES):
        seen += len(batch)
        for entry in pc.value_counts(batch["tags"].filter(pc.is_valid(batch["tags"]))).to_pylist():
            for prefix in {tag.partition(":")[0] for tag in json.loads(entry["values"]) if ":" in tag}:
                found[prefix] += entry["counts"]
    return [prefix for prefix, n in found.most_common() if n >= _SHARE * seen]
