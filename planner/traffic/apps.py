"""Apps: what may be assumed about each application, as a YAML file that its owner can read and correct.

In: ``apps.yaml``, or a log to draft one from. Out: one App per name; a guess is marked as such, so that every number
that rests on it says ``assumed``. A misspelt field, a wrong type or an unknown app is an error that names the line.
Knows nothing of prices or of what is done with the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from planner import formats
from planner.errors import InputError, did_you_mean
from planner.traffic.handle import Traffic

__all__ = ["App", "Apps"]

_HEAD = """\
# What planner may assume about each application. Correct what is wrong, then take its name out of `assumed`:
# every figure that rests on a name in `assumed` is reported as assumed.
"""


@dataclass(frozen=True, slots=True)
class App:
    """One application.

    Parameters
    ----------
    owner: who decides about it.
    interactive: somebody waits for the answer; then ``may_wait_hours`` must be 0.
    may_wait_hours: how long an answer may take [h]; 24 allows a provider's batch queue.
    side_effects: an answer may act (tools that write, send, pay): it is never cached or sent twice.
    quality_floor: the least mean quality that is acceptable, in [0, 1]; None is not stated.
    usd_per_wrong_answer: what a wrong answer costs [USD]; None is not stated.
    allowed_providers: who may see its prompts, as the price book spells them.
    candidates: models that may answer.
    assumed: which of the fields above are guesses.
    """

    owner: str = ""
    interactive: bool = True
    may_wait_hours: float = 0.0
    side_effects: bool = False
    quality_floor: float | None = None
    usd_per_wrong_answer: float | None = None
    allowed_providers: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    def evidence(self, *names: str) -> str:
        """Return ``assumed`` when one of the fields ``names`` is a guess, else ``estimated``.

        >>> App(assumed=("owner",)).evidence("interactive"), App(assumed=("interactive",)).evidence("interactive")
        ('estimated', 'assumed')
        """
        return "assumed" if {*names} & {*self.assumed} else "estimated"


#: What the file says about each field, and how a value is checked.
_NAMES = tuple(f.name for f in fields(App))
_MEANING = {
    "owner": "who decides about it",
    "interactive": "true: somebody waits for the answer",
    "may_wait_hours": "how long an answer may take; 24 allows the provider's batch queue",
    "side_effects": "true: an answer may act (tools that write, send, pay), so it is never reused",
    "quality_floor": "least acceptable mean quality, 0 to 1; null: not stated",
    "usd_per_wrong_answer": "what a wrong answer costs; null: not stated",
    "allowed_providers": "who may see its prompts",
    "candidates": "models that may answer",
    "assumed": "which of these are guesses",
}


@dataclass(frozen=True)
class Apps:
    """Applications by name.

    >>> Apps({"search": App(owner="web", may_wait_hours=24, interactive=False)})["search"].owner
    'web'
    """

    apps: Mapping[str, App]

    def __getitem__(self, name: str) -> App:
        if name not in self.apps:
            raise InputError(f"app {name!r}", f"one of {', '.join(self.apps) or 'no apps'}", did_you_mean(name, self.apps))
        return self.apps[name]

    def __len__(self) -> int:
        return len(self.apps)

    def require(self, names: Iterable[str]) -> Self:
        """Return these apps; InputError naming the apps of ``names`` that are missing."""
        missing = sorted({*names} - {*self.apps})
        if missing:
            raise InputError(
                f"no entry for {', '.join(missing)}",
                "every app of the log",
                did_you_mean(missing[0], self.apps) or "add it, or draft the file again with Apps.draft",
            )
        return self

    @classmethod
    def draft(cls, traffic: Traffic) -> Apps:
        """Draft from what ``traffic`` shows; every guess is marked assumed.

        Owner: the commonest ``team:`` or ``owner:`` tag. An app may wait a day when none of its answers was streamed, no session
        has a second request, and nine tenths of its requests fall, on three days or more, into the same four hours of
        the day. It has side effects when tools were offered. Providers and candidates: all that answered users in this log.
        """
        from planner.traffic.shape_of_apps import guesses  # pandas work that loading a file does not need

        return cls({name: App(**values) for name, values in guesses(traffic).items()})

    @classmethod
    def load(cls, path: str | Path) -> Apps:
        """Read a file that ``save`` wrote or a person edited; InputError names file, line and the nearest right name."""
        from planner.traffic.apps_file import parse  # YAML only where a file is read

        file = Path(path)
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: {error}", "a readable apps file", "draft one with Apps.draft(traffic).save(path)") from error
        return cls({name: App(**values) for name, values in parse(text, str(file), _NAMES).items()})

    def save(self, path: str | Path) -> Path:
        """Write a file for people to edit, with what each field means beside the first app; returns the path."""
        lines = [_HEAD, *(f"{k}: {v}\n" for k, v in formats.header("apps").items()), "apps:\n" if self.apps else "apps: {}\n"]
        for i, (name, app) in enumerate(self.apps.items()):
            lines.append(f"  {_yaml(name)}:\n")
            lines += [_line(key, getattr(app, key), explain=i == 0) for key in _NAMES]
        file = Path(path)
        file.write_text("".join(lines), "utf-8")
        return file


def _line(key: str, value: Any, explain: bool) -> str:
    shown = f"    {key}: {_yaml(value)}"
    return f"{shown:<42}  # {_MEANING[key]}\n" if explain else f"{shown}\n"


def _yaml(value: Any) -> str:
    """Return ``value`` as one line of YAML, quoted where it must be.

    >>> _yaml(("gpt-5.4", "a, b")), _yaml(24.0), _yaml(None)
    ("[gpt-5.4, 'a, b']", '24', 'null')
    """
    import yaml  # only where a file is written

    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, str) and not value.isprintable():
        return str(yaml.safe_dump(value, default_style='"', width=1_000_000)).strip()
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    return str(yaml.safe_dump([plain], default_flow_style=True, allow_unicode=True, width=1_000_000)).strip()[1:-1]
