"""Graders by name, the same in a shell, in YAML and in Python; and the right answers that they need, from a file.

In: ``exact``, ``numeric: 0.01``, ``{judge: {model: gpt-5.4, against: log}}``; a table of request ids and right answers. Out: a
Grader; a dict. Knows nothing of answers.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from planner.errors import InputError, did_you_mean
from planner.labels import columns, graders
from planner.labels.ab import human
from planner.labels.command import command
from planner.labels.grading import Grader
from planner.labels.judge_model import judge
from planner.traffic.records import records
from planner.traffic.unknown import system_error

__all__ = ["grader", "read_references"]

_RIGHT = ("reference", "answer", "expected", "target", "label", "gold", "correct_answer")
_IDS = ("request_id", "sample_id", "question_id", "id")
_KINDS = {"float": (int, float), "int": (int,), "bool": (bool,), "str": (str,)}


def _schema(file: str, *, fenced: bool = True) -> Grader:
    """Grade by the JSON schema in ``file``."""
    try:
        found = json.loads(Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}", "a file with a JSON schema", "check the path") from error
    return graders.json_schema(found, fenced=fenced)


#: Name → what makes the grader. A setting without a name goes to the first parameter.
_MAKERS: Mapping[str, Callable[..., Grader]] = {
    "exact": graders.exact,
    "numeric": graders.numeric,
    "regex": graders.regex,
    "schema": _schema,
    "contains": graders.contains,
    "grounded": graders.grounded,
    "command": command,
    "judge": judge,
    "human": human,
}


def grader(spec: str | Mapping[str, Any] | Grader, **defaults: Any) -> Grader:
    """Return the grader that ``spec`` names.

    Parameters
    ----------
    spec: a name; a name with its main setting, ``numeric: 0.01``; or a name with settings by name,
        ``{numeric: {rel: 0.01, abs: 0.5}}``. A text is read as YAML, so a shell says the same as a file, and may name one.
    defaults: settings for graders that have them and do not say otherwise, such as where the judge answers.

    InputError names what is unknown, with what there is.

    >>> grader("exact").name, grader("numeric: 0.01").name, grader({"contains": {"required": ["a"], "case": True}}).name
    ('exact v1', 'numeric@rel=0.01 v1', 'contains@case,required=f95b9f01 v1')
    """
    if isinstance(spec, Grader):
        return spec
    name, given = _parsed(spec)
    if name not in _MAKERS:
        raise InputError(f"grader {name!r}", f"one of {', '.join(_MAKERS)}", did_you_mean(name, _MAKERS))
    maker = _MAKERS[name]
    known = inspect.signature(maker).parameters
    settings = given if isinstance(given, dict) else {} if given is None else {_main(name, known): given}
    for key, value in settings.items():
        if key not in known:
            raise InputError(f"setting {key!r} of grader {name}", f"one of {', '.join(known) or 'none'}", did_you_mean(str(key), known))
        _require_kind(name, known[key], value)
    return maker(**{k: v for k, v in defaults.items() if k in known and v is not None} | settings)


def _parsed(spec: str | Mapping[str, Any]) -> tuple[str, Any]:
    if isinstance(spec, str) and spec.endswith((".yaml", ".yml")) and Path(spec).is_file():
        spec = Path(spec).read_text("utf-8").strip()
    value: Any = _yaml(spec) if isinstance(spec, str) else spec
    if isinstance(value, str):
        head, colon, tail = value.partition(":")
        return (head, _yaml(tail)) if colon and head in _MAKERS else (value, None)
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, given),) = value.items()
        return str(name), dict(given) if isinstance(given, Mapping) else given
    raise InputError(f"grader {spec!r}", "one name, or one name with its settings", "for example exact, or 'numeric: {rel: 0.01}'")


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"grader {text!r}", "YAML", "put a pattern or command into quotes: 'regex: \"^A: \"'") from error


def _main(name: str, known: Mapping[str, inspect.Parameter]) -> str:
    if not known:
        raise InputError(f"a setting for grader {name}", "none", f"write just {name}")
    return next(iter(known))


def _require_kind(name: str, parameter: inspect.Parameter, value: Any) -> None:
    """Raise InputError when a setting's value is not of the plain type that its parameter states."""
    stated = [s.strip() for s in str(parameter.annotation).split("|")]
    if any(s not in (*_KINDS, "None") for s in stated) or (value is None and "None" in stated):
        return
    fits = any(isinstance(value, _KINDS[s]) and (s == "bool" or not isinstance(value, bool)) for s in stated if s in _KINDS)
    if not fits:
        fix = "put it in quotes" if "str" in stated else ""
        raise InputError(f"{parameter.name} {value!r} of grader {name}", " or ".join(stated), fix)


def read_references(path: str | Path, *, request_id: str | None = None, reference: str | None = None) -> dict[str, str]:
    """Read the right answer of each request from a Parquet, CSV or JSON table; what is empty has none.

    The columns are guessed from their names when not given. An answer that is a list or an object is kept as JSON. InputError
    names the columns seen, and a request that has two different answers.
    """
    import pandas as pd

    try:
        found = list(records(Path(path)))
    except OSError as error:
        raise system_error(error) or error from error
    broken = next((f for f in found if f.value is None), None)
    if broken or not found:
        what = f"{path}, record {broken.line}: {broken.problem}" if broken else f"{path}: no rows"
        raise InputError(what, "a table of right answers")
    frame = pd.DataFrame([f.value for f in found])
    ids = columns.named(frame, request_id, "request_id") if request_id else _column(frame, _IDS, path)
    right = columns.named(frame, reference, "reference") if reference else _column(frame, _RIGHT, path)
    answers: dict[str, str] = {}
    for i, value in zip(frame[ids].astype(str), frame[right].tolist(), strict=True):
        if value is None or value == "" or value != value:
            continue
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if answers.setdefault(i, text) != text:
            raise InputError(f"{path}: two right answers for request {i!r}", "one a request")
    return answers


def _column(frame: Any, names: tuple[str, ...], path: str | Path) -> str:
    found = columns.one_of(frame, names)
    if found is None:
        seen = ", ".join(map(str, frame.columns[:20]))
        raise InputError(f"{path}: columns {seen}", f"a column named {' or '.join(names[:2])}", "rename it")
    return found
