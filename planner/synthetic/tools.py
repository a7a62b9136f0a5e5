"""Grammar of the agent: a task, tool calls and their results, step by step, until a final answer.

In: a keyed Draw, the number of steps, and which of them failed. Out: Drafts whose history grows with every step and whose
demands lie in the task's words, in what the tools returned, and in how far the work has gone. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from planner.synthetic.drafts import Draft, Draw, Message, demand, dumps

__all__ = ["TOOLS", "agent", "agent_system"]

_SERVICES = ("checkout", "billing", "catalog", "search", "notify", "ledger", "media", "identity")
_REGIONS = ("eu-north", "eu-south", "us-east", "ap-east")
_STATES = ("ok", "ok", "degraded", "restarting", "unreachable")
#: Task → (steps, rare).
_TASKS: tuple[tuple[str, float, float], ...] = (
    ("Restart {s} in {r} and confirm that it is healthy.", 0.1, 0.0), ("How many errors did {s} have in the last {n} hours?", 0.1, 0.0),
    ("Who is on call for {s}?", 0.0, 0.0), ("Show the last deploy of {s} in {r}.", 0.0, 0.0), ("Raise the replica count of {s} to {n}.",
    0.2, 0.0),
    ("Roll {s} back to the version before the alert, unless a migration ran.", 1.2, 0.3),
    ("Find out which deploy made {s} slower in {r}, and open a ticket with the evidence.", 1.4, 0.3),
    ("Compare the error budgets of {s} and {t} and pause the one that is worse.", 1.3, 0.2),
    ("Drain {r} for {s} without dropping below {n} healthy replicas.", 1.5, 0.5),
    ("Rotate the certificate of {s} and keep the sessions of {t} alive.", 1.5, 1.2),
    ("Work out why {s} and {t} disagree on the number of orders, {n} hours back.", 1.8, 0.8),
    ("Fail the {s} ledger over to {r} with no double postings.", 2.0, 1.5),
)  # fmt: skip
_TAILS: tuple[tuple[str, float], ...] = (
    ("", 0.0), ("", 0.0), ("Do nothing between 08:00 and 10:00.", 0.5), ("Ask before you change anything.", 0.4), ("Report in {n} lines.",
    0.3),
    ("If two alerts are open, treat the older one first.", 0.7), ("Touch nothing that the freeze covers.", 0.8),
)  # fmt: skip
_NAMES = ("get_status", "list_deploys", "query_metrics", "search_logs", "set_replicas", "restart_service", "open_ticket",
"drain_region")  # fmt: skip


def _tool(name: str) -> dict[str, Any]:
    about = f"{name.replace('_', ' ').capitalize()} of one service in one region. Only for services in the runbook."
    fields = {"service": {"type": "string", "enum": list(_SERVICES)}, "region": {"type": "string", "enum": list(_REGIONS)},
              "hours": {"type": "integer", "description": "How far to look back, from 1 to 72."}}  # fmt: skip
    return {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": {"type": "object", "properties": fields, "required": ["service"]}},
    }


TOOLS: tuple[dict[str, Any], ...] = tuple(_tool(n) for n in _NAMES)


@cache
def agent_system(version: str) -> Message:
    """Return the system prompt of the agent: its runbook."""
    rules = [
        f"{s} runs in {', '.join(_REGIONS[i % 3 :])}; its budget is {i + 1} errors a minute; page {t} when both are degraded."
        for i, (s, t) in enumerate(zip(_SERVICES, _SERVICES[::-1], strict=True))
    ]
    return Message(
        "system", f"Prompt {version}. You operate the Larkspur platform with the tools given. One tool call at a time.\n" + "\n".join(rules)
    )


def _result(draw: Draw, service: str, load: float) -> tuple[str, float]:
    """Return what a tool answered, and how messy it is."""
    rows = [{"at": f"{draw.between(0, 23):02d}:{draw.between(0, 59):02d}", "region": draw.pick(_REGIONS), "state": draw.pick(_STATES),
    "p95_ms": draw.between(40, 900)}
            for _ in range(1 + draw.count(1 + 2 * load, 6))]  # fmt: skip
    partial = draw.chance(0.12 + 0.2 * load)
    body: dict[str, Any] = {"service": service, "rows": rows}
    if partial:
        body |= {"warning": "partial result: one shard did not answer", "next": f"cursor-{draw.between(100, 999)}"}
    states = len({r["state"] for r in rows})
    return dumps(body), 0.8 * partial + 0.25 * (states - 1)


def agent(draw: Draw, name: str, head: Message, lengths: Sequence[float], failed: Sequence[bool]) -> list[Draft]:
    """Return the steps of one run: every step is one request with the whole history so far."""
    load = draw.random() ** 2.0
    task, steps, rare = draw.early(_TASKS, 2.2 - 1.5 * load)
    tail, limits = draw.pick(_TAILS)
    service, other = draw.several(_SERVICES, 2)
    slots = {"s": service, "t": other, "r": draw.pick(_REGIONS), "n": draw.between(2, 9)}
    history = [head, Message("user", f"{task} {tail}".format_map(slots).strip())]
    drafts: list[Draft] = []
    messy = 0.0
    for step, (length, fails) in enumerate(zip(lengths, failed, strict=True)):
        last = step == len(lengths) - 1
        reply = _final(draw, service, length) if last else _call(draw, service if draw.chance(0.7) else other, f"call_{step}")
        weight = 0.4 + 0.6 * min(step, 3) / 3 if not last else 1.0
        parts = demand(steps=weight * steps, rare=0.7 * rare, constraints=limits, messy=messy, length=0.12 * step)
        drafts.append(Draft(history, reply, parts, f"agent/{task.split()[0].lower()}", f"{name}/{step}", tools=TOOLS))
        if not last and not fails:
            text, messy = _result(draw, service, load)
            history = [*history, reply, Message("tool", text, answers=f"call_{step}")]
    return drafts


def _call(draw: Draw, service: str, call: str) -> Message:
    arguments = {"service": service, "region": draw.pick(_REGIONS)} | ({"hours": draw.between(1, 72)} if draw.chance(0.5) else {})
    return Message("assistant", "", calls=((call, draw.pick(_NAMES), dumps(arguments)),))


def _final(draw: Draw, service: str, tokens: float) -> Message:
    lines = [f"Done: {service} is {draw.pick(('healthy', 'stable again', 'within its budget'))} in {draw.pick(_REGIONS)}."]
    while sum(map(len, lines)) < 4.5 * tokens:
        lines.append(
            draw.pick(
                (
                    f"The p95 is {draw.between(50, 400)} ms.",
                    "The alert was acknowledged.",
                    f"Version {draw.between(200, 320)} is live.",
                    "No replica was lost.",
                    "The ticket holds the evidence.",
                )
            )
        )
    return Message("assistant", " ".join(lines))
