"""Questions on contexts for the compression benchmark: the project's own, the sample log's, or a user's file.

In: a name, or a file in the layout of SQuAD, HotpotQA or lines of JSON. Out: Cases, each a question, a context and the answers of which
one must stay. A file that is none of these is an InputError that says what was missing, and in which line.
"""

from __future__ import annotations

import json
import math
import random
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.synthetic.drafts import Draw, Message
from planner.synthetic.prose import documentation
from planner.synthetic.words import FACTS
from planner.text.sentences import words

__all__ = ["OWN", "Case", "holds", "own", "read_cases"]

_DATA = Path(__file__).parent / "data"
#: The datasets that come along: ``reading`` chose the settings, ``fresh`` was written afterwards, ``hops`` needs two paragraphs,
#: ``documentation`` are passages of the sample log's document-QA app.
OWN = ("reading", "fresh", "hops", "documentation")
#: Paragraphs around the answer's in a ``hops`` context, chosen as HotpotQA's are: the most like the question.
_PARAGRAPHS = 10
_SEED = 11
#: Beginning of a documentation fact → what is asked about it, and the answer; slots are those of the fact.
_ASKED = {
    "{topic} is handled": ("From which version on does the {product} take care of {topic}?", "{version}"),
    "Customers on": ("How many days do customers of the {plan} plan have?", "{n} days"),
    "The limit is": ("How many devices can be connected to one hub?", "{m} devices"),
    "A fee of": ("What is charged when the first {n} requests are used up?", "{money} EUR"),
    "Support may": ("How often can support drop the fee?", "once per calendar year"),
    "If the device": ("Which terms hold for devices purchased before {month}?", "the earlier terms"),
    "Data is kept": ("For how long is data stored?", "{m} days"),
    "Error {code}": ("What does error {code} stand for?", "the certificate has expired"),
    "The process": ("How many steps are there in the process?", "{n} steps"),
    "The regional": ("Where is the office that rules on larger sums?", "{city}"),
    "Requests about": ("How quickly do I get an answer about {topic}?", "{n} working days"),
    "Refunds": ("How will I be refunded?", "the payment method of the order"),
    "Section": ("What took the place of the notice of {month}?", "Section {n}.{m}"),
    "Administrators": ("Who is able to turn it off for single users?", "Administrators"),
    "It is measured": ("From which moment is it measured?", "the first connection"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One question on a context; cases of one ``group`` share a context."""

    question: str
    context: str
    answers: tuple[str, ...]
    group: str


def normalised(text: str) -> str:
    """Return ``text`` as SQuAD's evaluation compares answers (Rajpurkar et al. 2016): no case, punctuation, articles or extra space.

    >>> normalised("The  Orm-Fjord, a port.")
    'ormfjord port'
    """
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", plain).split())


def holds(context: str, answers: tuple[str, ...]) -> bool:
    """Say whether one of ``answers`` stands in ``context`` as whole words, both normalised.

    >>> holds("Founded in 1412 by merchants", ("the merchants",)), holds("in 1412", ("412",))
    (True, False)
    """
    whole = f" {normalised(context)} "
    return any(f" {a} " in whole for a in map(normalised, answers) if a)


def own(name: str) -> list[Case]:
    """Return one of OWN."""
    if name == "documentation":
        return list(_documentation())
    if name == "hops":
        return list(_hops(json.loads((_DATA / "hops.json").read_text("utf-8"))))
    return read_cases(_DATA / {"reading": "reading.json", "fresh": "reading_fresh.json"}[name])


def read_cases(path: Path) -> list[Case]:
    """Read the questions of ``path`` whose answer stands in their context; yes and no are no such answers."""
    text = path.read_text("utf-8")
    try:
        payload = json.loads(text)
        records = payload["data"] if isinstance(payload, Mapping) and "data" in payload else payload
        found = [
            case for i, r in enumerate(records if isinstance(records, list) else [records], 1) for case in _cases(r, f"{path}: record {i}")
        ]
    except json.JSONDecodeError:
        found = [
            case for i, line in enumerate(text.splitlines(), 1) if line.strip() for case in _cases(_line(line, path, i), f"{path}:{i}")
        ]
    return [case for case in found if holds(case.context, case.answers)]


def _line(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}:{number}: {error}", "JSON, one object a line") from error


def _cases(record: Any, where: str) -> Iterator[Case]:
    """Read one record: SQuAD's article, or one question with its context and answers under any of the usual names."""
    if isinstance(record, Mapping) and "paragraphs" in record:
        for paragraph in record["paragraphs"]:
            for qa in paragraph["qas"]:
                yield Case(qa["question"], paragraph["context"], tuple(a["text"] for a in qa["answers"]), paragraph["context"])
        return
    answers = record.get("answers", record.get("answer")) if isinstance(record, Mapping) else None
    if answers is None or "question" not in record or "context" not in record:
        raise InputError(f"{where} without question, context and answers", "SQuAD's or HotpotQA's JSON, or lines with these three fields")
    context = _context(record["context"])
    yield Case(str(record["question"]), context, tuple(_answers(answers)), context)


def _answers(answers: Any) -> list[str]:
    if isinstance(answers, Mapping):
        answers = answers.get("text", [])
    listed = [answers] if isinstance(answers, str) else list(answers)
    texts = [a["text"] if isinstance(a, Mapping) else str(a) for a in listed]
    return [t for t in texts if t.lower() not in ("yes", "no")]


def _context(context: Any) -> str:
    """Return a context as text; HotpotQA's lists of title and sentences become paragraphs under their title."""
    if isinstance(context, str):
        return context
    pairs = zip(context["title"], context["sentences"], strict=True) if isinstance(context, Mapping) else context
    return "\n\n".join(p if isinstance(p, str) else f"{p[0]}\n{' '.join(s.strip() for s in p[1])}" for p in pairs)


def _hops(payload: Mapping[str, Any]) -> Iterator[Case]:
    """Give every question its answer's paragraph among those most like the question: the other hop is one of them, or is missing."""
    paragraphs = payload["paragraphs"]
    said = {title: {*words(f"{title} {text}")} for title, text in paragraphs.items()}
    often = Counter(w for s in said.values() for w in s)
    for i, asked in enumerate(payload["questions"]):
        own_words = {*words(asked["question"])}
        like = {t: sum(math.log(len(said) / often[w]) for w in sorted(own_words & s)) for t, s in said.items()}
        others = sorted((t for t in said if t != asked["paragraph"]), key=lambda t: (-like[t], t))[: _PARAGRAPHS - 1]
        chosen = [asked["paragraph"], *others]
        random.Random(i).shuffle(chosen)
        context = "\n\n".join(f"{t}\n{paragraphs[t]}" for t in chosen)
        yield Case(asked["question"], context, tuple(asked["answers"]), context)


def _documentation(questions: int = 400) -> Iterator[Case]:
    """Ask about one fact of the passages that the sample log's document-QA app retrieved, of those that can be asked about."""
    patterns = [(_pattern(fact), *asked) for fact in FACTS for start, asked in _ASKED.items() if fact.startswith(start)]
    head = Message("system", "Answer from the passages.")
    for i in range(questions):
        draw = Draw(_SEED, f"compression/{i}")
        context = documentation(draw, f"q{i}", head, 60.0, _SEED).messages[1].text
        found = [(m, q, a) for pattern, q, a in patterns for m in pattern.finditer(context)]
        if found:
            slots, question, answer = draw.pick(found)
            named = {k: v for k, v in slots.groupdict().items() if v is not None}
            yield Case(question.format_map(named), context, (answer.format_map(named),), context)


def _pattern(fact: str) -> re.Pattern[str]:
    seen: set[str] = set()

    def slot(m: re.Match[str]) -> str:
        again, name = m[1] in seen, m[1]
        seen.add(name)
        return (
            ".+?"
            if again
            else f"(?P<{name}>{'.+?' if name == 'topic' else '[^.,]+?' if name != 'version' and name != 'money' else '[0-9.]+'})"
        )

    return re.compile(re.sub(r"\\\{(\w+)\\\}", slot, re.escape(fact)), re.IGNORECASE)
