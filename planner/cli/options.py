"""The options of every verb that trains, stated once: as one value, and as options of each such verb.

In: strings and numbers from the command line. Out: the arguments of ``planner.train``, and Labels. Knows nothing of any one verb.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from planner.cli.common import AppsFile, Prices, Prompt, QualityColumns, Renames, labels_at, numbers
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.labels import Labels

__all__ = ["FLOOR", "ExpectedOutput", "LogBeside", "Seed", "Tau", "TrainingOptions", "Unit", "with_training_options"]

#: What may be lost where --floor does not say.
FLOOR = 0.02

LogBeside = Annotated[
    str | None, typer.Option("--log", metavar="LOG", help="The log: each app is measured against its own model of today.")
]
Tau = Annotated[
    float | None,
    typer.Option("--tau", help="Quality per USD, instead of the router's own; below 0 the gain it takes to leave today's model."),
]
Unit = Annotated[str, typer.Option("--unit", metavar="session|request", help="What one decision covers.")]
ExpectedOutput = Annotated[
    list[str] | None, typer.Option("--expected-output", metavar="MODEL=TOKENS,...", help="Tokens of an answer where the labels do not say.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of the split and of every draw.")]

_Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="MODEL", help="The model in use today; default: each app's own in the log, else the best one."),
]
_Candidate = Annotated[
    list[str] | None, typer.Option("--candidate", metavar="MODEL", help="A model to choose among; default: all labelled. Repeatable.")
]
_Cost = Annotated[
    list[str] | None,
    typer.Option("--cost", metavar="MODEL=X,...", help="Cost per request where nothing else is known; only ratios matter."),
]
_Floor = Annotated[
    float | None,
    typer.Option("--floor", help=f"Quality one is willing to lose against the reference, 0 to 1: certified.  \\[default: {FLOOR}]"),
]
_Confidence = Annotated[float, typer.Option("--confidence", help="With which the floor is certified.")]
_Human = Annotated[
    Path | None, typer.Option("--human", metavar="LABELS", help="Grades by people of some of the same answers, to correct a judge's.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What a verb that trains can be told about it; a field is an option of every such verb, in this order."""

    reference: _Reference = None
    candidate: _Candidate = None
    cost: _Cost = None
    floor: _Floor = None
    confidence: _Confidence = 0.95
    human: _Human = None
    unit: Unit = "session"
    expected_output: ExpectedOutput = None
    prompt: Prompt = None
    quality: QualityColumns = None
    model: Renames = None
    apps: AppsFile = None
    prices: Prices = None
    seed: Seed = 0

    def labels(self, path: str) -> Labels:
        """Open labels, or read a table of graded answers, as told."""
        return labels_at(path, self.prompt, self.quality, self.model)

    def given(self) -> list[str]:
        """Return the options that differ from their default, as they are typed.

        >>> TrainingOptions(floor=0.01, expected_output=["gpt-5=300"]).given()
        ['--floor', '--expected-output']
        """
        return list(dict.fromkeys(name for name, _ in self._typed()))

    def again(self, without: Collection[str] = ()) -> list[str]:
        """Return the words of the given options for another verb that trains, but for those of the names ``without``.

        >>> TrainingOptions(floor=0.01, cost=["a=1,b=2"]).again(without=["--floor"])
        ['--cost', 'a=1,b=2']
        """
        return [word for name, value in self._typed() if name not in without for word in (name, value)]

    def _typed(self) -> list[tuple[str, str]]:
        """Return (option, value) of all that differ from their default; one that is repeatable stands as often as it was given."""
        values = ((f"--{f.name.replace('_', '-')}", getattr(self, f.name), f.default) for f in fields(self))
        told = ((name, value if isinstance(value, list) else [value]) for name, value, default in values if value != default)
        return [(name, str(one)) for name, some in told for one in some]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of ``planner.train``; InputError for what cannot be read."""
        from planner.labels import Labels
        from planner.traffic.apps import Apps

        if not 0 < self.confidence < 1:
            raise InputError(f"'--confidence {self.confidence:g}'", "a number between 0 and 1", "for example --confidence 0.95")
        return {
            "apps": Apps.load(self.apps) if self.apps else None,
            "reference": self.reference,
            "candidates": list(self.candidate) if self.candidate else None,
            "cost": numbers(self.cost, "--cost") or None,
            "floor": FLOOR if self.floor is None else self.floor,
            "delta": 1 - self.confidence,
            "human": Labels.open(self.human) if self.human else None,
            "unit": self.unit,
            "expected_output": numbers(self.expected_output, "--expected-output") or None,
            "seed": self.seed,
        }


def with_training_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give ``verb`` an option for every field of TrainingOptions, in the place of its parameter ``options``, which receives them."""
    hints = get_type_hints(TrainingOptions, include_extras=True)
    shared = {
        f.name: inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(TrainingOptions)
    }

    @wraps(verb)
    def run(**given: Any) -> None:
        options = TrainingOptions(**{name: given.pop(name) for name in shared})
        verb(options=options, **given)

    own = inspect.signature(verb, eval_str=True).parameters.values()
    listed = [p for parameter in own for p in (shared.values() if parameter.name == "options" else [parameter])]
    run.__signature__ = inspect.Signature([p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in listed])  # type: ignore[attr-defined]
    return run
