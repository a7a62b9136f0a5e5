"""What each candidate can answer at all, and what the training data covers.

In: dated facts about models, given by whoever knows them (labels, the user's file, a catalogue), and Requests. Out: which
candidate can answer which request, and where the router abstains. Unknown is infeasible: a model is only offered what somebody
said it can do. Both are settled before anything is scored. Knows nothing of quality or cost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from planner.router.requests import FORMATS, Requests
from planner.router.scripts import script

__all__ = ["KEEP", "LENGTH", "REASONS", "SCRIPT", "TOOLS", "UNREADABLE", "Capability", "Kind", "Support", "able", "abstains", "kinds"]

#: Codes of the reasons a decision carries are positions in this tuple; 0 to 2 are decisions, the rest abstentions.
REASONS = (
    "best value at tau",
    "reference: the best value at tau",
    "reference: no feasible candidate",
    "abstained: app not among those trained on",
    "abstained: longer than anything trained on",
    "abstained: no text to read",
    "abstained: text is cut",
    "abstained: input that could not be read",
    "abstained: keep what you asked for",
    "abstained: tools, which no label had",
    "abstained: a script that no label was written in",
)
#: The reasons of what cannot be read, of an app whose model of today the router does not know, and of limits of the support.
LENGTH, UNREADABLE, KEEP, TOOLS, SCRIPT = 4, 7, 8, 9, 10


@dataclass(frozen=True)
class Capability:
    """What one model is known to do.

    Parameters
    ----------
    max_input_tokens: [tokens] longest template and deciding turn it is known to have answered.
    context_tokens: [tokens] window that all messages and max_tokens share. Without either limit nothing is feasible.
    tools: takes tool definitions.
    formats: response formats it keeps.
    modalities: inputs it reads.
    retires: ISO date from which it must not be called; "" when none is announced.
    apps: apps that may use it; None for all.
    source: who says so, with a date.
    """

    max_input_tokens: int | None = None
    context_tokens: int | None = None
    tools: bool = False
    formats: tuple[str, ...] = ("text",)
    modalities: tuple[str, ...] = ("text",)
    retires: str = ""
    apps: tuple[str, ...] | None = None
    source: str = "unknown"

    def state(self) -> dict[str, Any]:
        """Return plain values, for a manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Capability:
        """Build from ``state()``."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in state.items()}
        return cls(**values)


@dataclass(frozen=True)
class Support:
    """What the labels cover; outside of it the router abstains.

    Parameters
    ----------
    apps: apps with labels; None for all.
    max_tokens: [tokens] longest labelled template and deciding turn; None for any. The history of a session does not count, lest
        a session change its model for having grown.
    cut_text: labels included shortened text.
    tools: labels included requests with tools.
    scripts: scripts the labelled turns are written in, see ``router.scripts``; None for any.
    """

    apps: tuple[str, ...] | None = None
    max_tokens: int | None = None
    cut_text: bool = False
    tools: bool = True
    scripts: tuple[str, ...] | None = None

    @classmethod
    def of(cls, labelled: Requests, without: Collection[str] = ()) -> Support:
        """Return what ``labelled`` requests cover, but for the apps ``without``.

        >>> Support.of(Requests.of(["Hi", "Grüße aus Köln"]))
        Support(apps=None, max_tokens=5, cut_text=False, tools=False, scripts=('accented latin', 'latin'))
        """
        apps = tuple(sorted(set(labelled.app) - set(without)))
        longest, cut = int(labelled.input_tokens.max(initial=0)), bool((labelled.text_state == 1).any())
        scripts = tuple(sorted({script(t) for t in labelled.user}))
        return cls(None if apps == ("default",) else apps, longest, cut, bool(labelled.has_tools.any()), scripts)

    def state(self) -> dict[str, Any]:
        """Return plain values, for a manifest; a limit that older bundles do not know is left out where it does not bind."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _FIRST or getattr(self, f.name) != f.default}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in kept.items()}


#: Limits that every bundle states.
_FIRST = ("apps", "max_tokens", "cut_text")
#: What is known of a request beside text and sizes: app, modalities, tools, response format, text state, script.
Kind: TypeAlias = tuple[str, str, bool, int, int, str]


def kinds(requests: Requests, scripts: bool) -> list[Kind]:
    """Return the kind of each request; the script is "" unless ``scripts`` are asked for."""
    written = [script(t) for t in requests.user] if scripts else [""] * len(requests)
    codes = (requests.has_tools.tolist(), requests.response_format.tolist(), requests.text_state.tolist())
    return list(zip(requests.app, requests.modalities, *codes, written, strict=True))


def able(known: Capability, kind: Kind, at: str) -> bool:
    """Say whether a model can answer a kind of request on the ISO date ``at``, its size apart."""
    app, modalities, tools, form, _, _ = kind
    return (
        (known.max_input_tokens is not None or known.context_tokens is not None)
        and not (known.retires and known.retires <= at)
        and FORMATS[form] in known.formats
        and (known.tools or not tools)
        and all(m in known.modalities for m in modalities.split(",") if m)
        and (known.apps is None or app in known.apps)
    )


def abstains(support: Support, kind: Kind, homes: Collection[str] = ()) -> int:
    """Return why the router abstains from a kind of request: a code of REASONS, 0 where it does not, length apart.

    ``homes`` are the apps whose model of today is known. An app that is neither there nor in the support gets KEEP, whatever
    else is wrong with the request.
    """
    app, _, tools, _, state, written = kind
    if support.apps is not None and app not in support.apps and app not in homes:
        return KEEP
    if state == 2:
        return 5
    if state == 1 and not support.cut_text:
        return 6
    if support.apps is not None and app not in support.apps:
        return 3
    if tools and not support.tools:
        return TOOLS
    return SCRIPT if support.scripts is not None and written not in support.scripts else 0
