"""Models that a log and labels spell differently: ``openai/gpt-5.4`` or ``gpt-5.4-2026-03-05``, and ``gpt-5.4``.

In: the names that are labelled and the names in a log. Out: which labelled name is likely which logged one. Two dates are
two models, and so are two providers. Knows nothing of a catalogue and renames nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["match_models", "one_to_one"]

_DATE = re.compile(r"[-@](20\d{6}|20\d\d-\d\d-\d\d)$")


def match_models(labelled: Iterable[str], logged: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each labelled name that one side only has, the logged names that differ in provider prefix or date alone.

    >>> match_models(["gpt-5.4", "gpt-5.4-mini"], ["openai/gpt-5.4-2026-03-05", "gpt-5.4-mini", "gpt-5.4-nano"])
    {'gpt-5.4': ('openai/gpt-5.4-2026-03-05',)}
    """
    labels, logs = {*labelled}, {*logged}
    found = {a: tuple(b for b in sorted(logs - labels) if _alike(_parts(a), _parts(b))) for a in sorted(labels)}
    return {a: (a, *b) if a in logs else b for a, b in found.items() if b}


def one_to_one(matches: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the pairs of ``match_models`` of which neither side has another match.

    >>> one_to_one({"a": ("x/a",), "b": ("b", "x/b"), "c": ("c-20260101",), "y/c": ("c-20260101",)})
    {'a': 'x/a'}
    """
    taken = [name for names in matches.values() for name in names]
    return {a: names[0] for a, names in matches.items() if len(names) == 1 and taken.count(names[0]) == 1}


def _parts(model: str) -> tuple[str, str, str]:
    """Split a name into what remains, provider prefix and date."""
    prefix, _, rest = model.lower().rpartition("/")
    date = _DATE.search(rest)
    return _DATE.sub("", rest), prefix, date[1].replace("-", "") if date else ""


def _alike(a: tuple[str, str, str], b: tuple[str, str, str]) -> bool:
    return a[0] == b[0] and all(x == y or not x or not y for x, y in zip(a[1:], b[1:], strict=True))
