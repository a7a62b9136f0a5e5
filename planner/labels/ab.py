"""Blind comparisons by people: which pairs are shown, on which sides, and every choice on disk before the next pair.

In: answers, and a folder. Out: pairs without model names, choices as one file a rater to which lines are only ever added, grades, and
how far raters agree. Two raters never write the same file. Knows nothing of widgets.
"""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from planner import formats
from planner.errors import InputError
from planner.labels.answers import Answers
from planner.labels.grading import LOGGED, TIE, Case, Grade, Grader, compared, rowwise
from planner.labels.journal import lines, torn
from planner.labels.judging import request_text
from planner.stats.draws import key, uniform, words

__all__ = ["CHOICES", "Pair", "Store", "choices", "human"]

#: What a rater may say; the first two by side.
CHOICES = ("left", "right", "tie", "both bad", "skip")
_KEY = ("request_id", "model", "prompt_variant", "repeat")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HEADER = "ab.json"


@dataclass(frozen=True, slots=True)
class Pair:
    """What a rater sees: a request and two answers, sides drawn; ``id`` names the pair, ``texts`` its content."""

    id: str
    prompt: str
    left: str
    right: str
    candidate_left: bool
    texts: str


class Store:
    """The comparisons of ``answers`` with those of ``against`` in ``folder``, for one ``rater``.

    Parameters
    ----------
    answers: every answer that differs from the home model's answer to the same request makes a pair.
    folder: made when it is not there, readable by its owner alone; it states ``against`` and ``seed``, and refuses others.
    against: a model, or ``"log"``: today's model of each request.
    shared: so many pairs are shown to every rater, for their agreement; the others go to whoever comes first.
    seed: of the order of pairs and of the sides, which are drawn for each rater.

    Choices are one line of JSON each, on disk when ``choose`` returns. The files name models: it is the rater who is blind.

    >>> from tempfile import mkdtemp
    >>> rows = pd.DataFrame({"request_id": "a", "model": ["m", "s"], "source": ["log", "run"], "response": ["4", "four"]})
    >>> store = Store(Answers.of(pd.DataFrame({"request_id": ["a"]}), rows), mkdtemp(), "ada")
    >>> store.choose(store.next(), "tie")
    >>> store.progress, store.next()
    ((1, 1), None)
    """

    def __init__(self, answers: Answers, folder: str | Path, rater: str, *, against: str = LOGGED, shared: int = 50, seed: int = 0) -> None:
        if not _NAME.fullmatch(rater):
            raise InputError(f"rater {rater!r}", "a short name of letters, digits and . _ @ -")
        self.rater, self._shared, self._seed = rater, shared, seed
        self.folder = _opened(Path(folder), against, seed)
        self._cases = {_pair_id(c): c for c in compared(answers, against) if not _equal(c)}
        names = list(self._cases)
        order = words(seed, key(names), "ab/order")
        self._order = [name for _, name in sorted(zip(order.tolist(), names, strict=True))]
        self._flip = dict(zip(names, uniform(seed, key(names), f"ab/side/{rater}") < 0.5, strict=True))

    @property
    def progress(self) -> tuple[int, int]:
        """How many pairs this rater has answered, and how many are answered or still open for this rater."""
        mine = len(self._answered)
        return mine, mine + len(self._open())

    def next(self) -> Pair | None:
        """Return the next pair for this rater, None when there is none left."""
        found = self._open()
        return self.pair(found[0]) if found else None

    def pair(self, name: str) -> Pair:
        """Return one pair as this rater sees it."""
        case = self._cases[name]
        first = bool(self._flip[name])
        left, right = (case.response, case.reference or "") if first else (case.reference or "", case.response)
        return Pair(name, request_text(case.messages) if case.messages else "", left, right, first, _texts(case))

    def choose(self, pair: Pair, choice: str) -> None:
        """Write ``choice`` on ``pair``; it is on disk when this returns. InputError for another word than CHOICES."""
        if choice not in CHOICES:
            raise InputError(f"choice {choice!r}", f"one of {', '.join(CHOICES)}")
        case = self._cases[pair.id]
        won = {"left": float(pair.candidate_left), "right": float(not pair.candidate_left), "tie": TIE, "both bad": TIE}.get(choice)
        told = {n: getattr(case, n) for n in _KEY}
        line = {"pair": pair.id, **told, "texts": pair.texts, "candidate_left": pair.candidate_left, "choice": choice, "quality": won}
        self._write(line)

    def undo(self) -> Pair | None:
        """Take back this rater's last choice and return its pair, None when there is none; the line stays, another is added."""
        mine = self._answered
        if not mine:
            return None
        last = list(mine)[-1]
        self._write({"pair": last, "undo": True})
        return self.pair(last)

    @property
    def _answered(self) -> dict[str, dict[str, Any]]:
        """Return this rater's standing choices on the pairs there are, oldest first."""
        return {p: c for p, c in _standing(self._file).items() if p in self._cases and c["texts"] == _texts(self._cases[p])}

    def _open(self) -> list[str]:
        mine = set(self._answered)
        others = {p for file in _files(self.folder) if file != self._file for p, c in _standing(file).items() if c["choice"] != "skip"}
        return [name for i, name in enumerate(self._order) if name not in mine and (i < self._shared or name not in others)]

    @cached_property
    def _file(self) -> Path:
        return self.folder / f"{self.rater}.jsonl"

    def _write(self, values: Mapping[str, Any]) -> None:
        at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        line = json.dumps({"at": at, "rater": self.rater, **values}, ensure_ascii=True).encode() + b"\n"
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            line = (b"\n" if torn(self._file) else b"") + line
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _opened(folder: Path, against: str, seed: int) -> Path:
    """Make the folder or check that it holds the same comparison."""
    told = {**formats.header("comparisons"), "against": against, "seed": seed}
    file = folder / _HEADER
    if not file.exists():
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}, which holds other files", "a new or empty folder, or one of comparisons", "choose another folder")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(json.dumps(told) + "\n", "utf-8")
    found = _header(folder)
    if (found["against"], found["seed"]) != (against, seed):
        raise InputError(
            f"against={against!r}, seed={seed} for {folder}", f"against={found['against']!r}, seed={found['seed']}, as it was begun"
        )
    return folder


def _header(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _HEADER).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}", "a folder of comparisons", "make one in a notebook: lab.ab(answers, FOLDER, rater=NAME)") from error
    return formats.migrate("comparisons", found, str(folder / _HEADER))


def _pair_id(case: Case) -> str:
    return sha256(json.dumps([getattr(case, n) for n in _KEY]).encode()).hexdigest()[:16]


def _equal(case: Case) -> bool:
    return case.response.strip() == (case.reference or "").strip()


def _texts(case: Case) -> str:
    """Name the two texts, so that a choice on others is never taken for one on these."""
    return sha256(json.dumps([case.messages, case.response, case.reference]).encode()).hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _standing(file: Path) -> dict[str, dict[str, Any]]:
    """Return pair → the choice that stands in one rater's file, in the order of choosing; a line that broke off is no choice."""
    found: dict[str, dict[str, Any]] = {}
    for _, _, line in lines(file):
        if line is None or "pair" not in line:
            continue
        found.pop(line["pair"], None)
        if not line.get("undo"):
            found[line["pair"]] = line
    return found


def choices(folder: str | Path) -> pd.DataFrame:
    """Return every standing choice of every rater: one row each, with ``pair, rater, choice, quality`` and the answer's key."""
    rows = [line for file in _files(Path(folder)) for line in _standing(file).values()]
    names = ["pair", "rater", "at", *_KEY, "texts", "candidate_left", "choice", "quality"]
    return pd.DataFrame(rows, columns=names)


def human(store: str | Path) -> Grader:
    """Grade by the choices in ``store``: the mean over raters of win 1, tie or both bad 0.5, loss 0, against the store's home model.

    An answer that nobody compared, or only skipped, is not graded; one equal to the home model's is a tie. ``validators`` hold the
    number of raters and of "both bad".
    """
    against = _header(Path(store))["against"]
    told = {(str(p), str(t)): rows for (p, t), rows in choices(store).groupby(["pair", "texts"])}

    def verdict(case: Case) -> Grade:
        if _equal(case):
            return Grade(TIE, checks={"identical": True})
        rows = told.get((_pair_id(case), _texts(case)))
        if rows is None:
            return Grade(reason="not compared")
        decided = rows[rows["choice"] != "skip"]
        if decided.empty:
            return Grade(reason="skipped")
        checks = {"raters": len(decided), "both_bad": int((decided["choice"] == "both bad").sum())}
        return Grade(float(decided["quality"].astype(float).mean()), checks=checks)

    return Grader("human@blind-ab v1", rowwise(verdict), needs_reference=True, against=against)
