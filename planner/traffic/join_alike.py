"""What two logs must agree in before they are joined: each holds its calls once, both are redacted or neither, both were drawn alike.

In: two Traffic, and later who is whose partner. Out: nothing, or a refusal that says what to do; what the joined log's header keeps of its
two. Rows that stand for twenty calls beside the calls themselves would count those twice. Knows nothing of how partners are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.traffic.handle import Traffic
from planner.traffic.join_twice import refuse_twice
from planner.traffic.sampling import conversations, heaviest

__all__ = ["header_of", "refuse_other_draws", "refuse_unlike"]

Ints: TypeAlias = NDArray[np.int64]
_WHOLE = "join the whole logs and sample the joined one: planner read JOINED --sample SHARE"


def refuse_unlike(a: Traffic, b: Traffic) -> None:
    """Raise InputError where two logs cannot be joined, whoever their rows' partners are."""
    if a.hash == b.hash:
        raise InputError(
            f"{a.folder} and {b.folder}, the same log twice", "two different logs of the same calls", "there is nothing to join"
        )
    redacted, plain = sorted((a, b), key=lambda log: not log.meta.get("redacted"))
    if redacted.meta.get("redacted") and not plain.meta.get("redacted"):
        raise InputError(
            f"{redacted.folder}, which is redacted, and {plain.folder}, which is not: users would not be the same, and texts those of both",
            "both redacted, or neither",
            "read the other one so, too: planner.read(LOG, redact=True), in the shell planner read LOG --redact",
        )
    weights = {log: heaviest(log) for log in (a, b)}
    for log, other in ((a, b), (b, a)):
        if weights[log] is not None and (_rows_drawn(log) != _rows_drawn(other) or not _rows_drawn(log)):
            raise _drawn(log, f"a row stands for up to {weights[log]:,.4g} requests, and {other.folder} was not drawn so")
    short, long = sorted((_drawn_by(log) for log in (a, b)), key=len)
    if long[: len(short)] != short:
        raise _drawn(a, f"other texts were kept than of {b.folder}")
    for log in (a, b):
        if not log.meta.get("allow_twice"):
            refuse_twice(log)


def refuse_other_draws(a: Traffic, b: Traffic, partner: Ints) -> None:
    """Raise InputError where rows were sampled and a call was not drawn by the same conversation or user in both logs.

    The same share and seed draw the same calls of two logs only if both name their users and conversations alike. ``partner`` (n of a,) is
    the row of b that is the same call, −1 none.
    """
    if heaviest(a) is None:
        return
    own = np.flatnonzero(partner >= 0)
    rows = [log.arrow("session_id", "user", "request_id", "weight") for log in (a, b)]
    drawn, weights = [conversations(r) for r in rows], [r["weight"].to_numpy() for r in rows]
    other = (drawn[0][own] != drawn[1][partner[own]]) | (weights[0][own] != weights[1][partner[own]])
    if other.any():
        raise _drawn(
            a, f"{other.sum():,} of {len(own):,} calls that are in both were drawn by another user or conversation than in {b.folder}"
        )


def header_of(a: Traffic, b: Traffic, with_text: int) -> dict[str, Any]:
    """Return what a joined log's header keeps of its two: what stayed outside, draws, rebuilt conversations, that calls may look alike.

    ``with_text`` requests of the joined log have a prompt. Texts that one of the two sampled count as sampled, though the other may have
    them.
    """
    redacted, text = bool(a.meta.get("redacted")), any(log.meta.get("text", True) for log in (a, b))
    private = [p for log in (a, b) for p in log.meta.get("private", ())] if redacted else []
    left = max(0, max(log.text_left for log in (a, b)) - with_text)
    drawn = max((a.meta.get("samples", []), b.meta.get("samples", [])), key=len)
    rebuilt = b.meta.get("sessions") or a.meta.get("sessions")  # the second log's hold where both have them
    outside = {"redacted": redacted, "text": text, "text_left": left, "private": private}
    kept = {**outside, "allow_twice": any(log.meta.get("allow_twice") for log in (a, b))}
    return {**kept, **{k: v for k, v in (("samples", drawn), ("sessions", rebuilt)) if v}}


def _drawn_by(log: Traffic) -> list[tuple[float, int, bool]]:
    return [(s["share"], s["seed"], s["text_only"]) for s in _samples(log)]


def _rows_drawn(log: Traffic) -> list[tuple[int, float, int]]:
    """Return the draws of rows; a draw's place among all decides which rows it takes."""
    return [(i, s["share"], s["seed"]) for i, s in enumerate(_samples(log)) if not s["text_only"] and s["share"] < 1]


def _samples(log: Traffic) -> Iterable[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = log.meta.get("samples", ())
    return found


def _drawn(log: Traffic, why: str) -> InputError:
    return InputError(f"{log.folder}, of which {why}", "two whole logs, or the same draw (share and seed) of both", _WHOLE)
