"""What ``planner rollout show`` says: whether production runs as set, what is on, which processes run it, counts and what went wrong.

In: the status of an exported folder. Out: parts for people and for programs. Only reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.output import Part, grid, percent, usd, wrap

if TYPE_CHECKING:
    from planner.router.rollout import Rollout
    from planner.router.status import Status, Worker

__all__ = ["shown"]


def shown(folder: Path) -> tuple[list[Part], bool]:
    """Return what is to be said of ``folder``, and whether production runs as set, without an alarm."""
    from planner.router.status import differences, status

    found = status(folder)
    other = differences(folder, found)
    parts = [
        Part("as_set", not other, _state(folder, found, other)),
        Part("not_as_set", other),
        Part("stopped", found.stopped),
        Part("problem", found.problem),
        Part("rollout", found.rollout and found.rollout.state(), _apps(found.rollout, found) if found.rollout else ""),
        Part("workers", [_values(w) for w in found.workers], _workers(found)),
        Part("alarms", found.alarms, "\n".join(wrap(f"ALARM {text or app}") for app, text in found.alarms.items())),
        Part("counts", _counted(found), _counts(found)),
        Part("fell_back", _fallbacks(found), _fell_back(found)),
        Part("events", _events(found), _went_wrong(found)),
    ]
    return parts, not other


def _state(folder: Path, found: Status, other: tuple[str, ...]) -> str:
    said = "stopped: every request goes as asked" if found.stopped else "NOT running as set" if other else "running as set"
    return "\n".join([f"{folder} is {said}.", *(wrap(f"- {one}.") for one in other)])


def _fallbacks(found: Status) -> list[dict[str, Any]]:
    """Return how many answers of each app and arm came from another group than they were sent to; none where none did."""
    rows = [row for row in _counted(found) if row["metric"] == "fallback" and row["bad"]]
    return [{"app": r["app"], "arm": r["arm"], "answers": r["answers"], "fell_back": r["bad"]} for r in rows]


def _fell_back(found: Status) -> str:
    rows = _fallbacks(found)
    said = (f"{r['fell_back']:,} of {r['answers']:,} answers of {r['app']} ({r['arm']}) fell back" for r in rows)
    return wrap("; ".join(said) + ": another model answered than the one decided. They count as errors.") if rows else ""


def _apps(rollout: Rollout, found: Status) -> str:
    import pandas as pd

    rows = [
        {
            "app": name,
            "mode": f"{own.mode} (stopped)" if own.mode != "off" and (found.stopped or name in found.alarms) else own.mode,
            "share": percent(own.share) if own.mode == "canary" else "–",
            "explore": percent(own.explore),
            "mirror": f"{percent(own.mirror.share)}, {usd(own.mirror.usd_per_day)} a day" if own.mirror and own.mode == "mirror" else "–",
            "guardrails": ", ".join(own.guardrails) or "none",
            "asks": ", ".join(own.asks),
        }
        for name, own in rollout.apps.items()
    ]
    names = ["app", "mode", "share", "explore", "mirror", "guardrails", "asks"]
    return grid(pd.DataFrame(rows, columns=names), {n: (n, str) for n in names}) + f"\nHoldout: {percent(rollout.holdout)}, never routed."


def _values(worker: Worker) -> dict[str, Any]:
    return {name: getattr(worker, name) for name in worker.__dataclass_fields__}


def _workers(found: Status) -> str:
    import pandas as pd

    if not found.workers:
        return "No process of a gateway runs this folder now."
    mark = found.rollout.mark if found.rollout else None
    rows = [
        {
            "worker": w.worker,
            "runs": "stopped" if w.stopped else "this rollout" if w.rollout == mark else "an earlier rollout" if w.rollout else "nothing",
            "bundle": w.bundle or "none",
            "router": w.version or "none",
            "alarms": ", ".join(w.alarmed) or "–",
        }
        for w in found.workers
    ]
    names = ["worker", "runs", "bundle", "router", "alarms"]
    return grid(pd.DataFrame(rows, columns=names), {n: (n, str) for n in names})


def _counted(found: Status) -> list[dict[str, Any]]:
    rows = []
    for name, counts in found.counts.items():
        for arm_metric, count in counts.items():
            arm, _, metric = arm_metric.partition(" ")
            rows.append({"app": name, "arm": arm, "metric": metric, "answers": count.n, "bad": count.hits})
    return rows


def _counts(found: Status) -> str:
    import pandas as pd

    rows = _counted(found)
    columns = {"app": ("app", str), "arm": ("arm", str), "metric": ("counted", str), "answers": ("of", str), "bad": ("bad", str)}
    return grid(pd.DataFrame(rows), columns) if rows else ""


def _events(found: Status) -> list[dict[str, Any]]:
    return [{"event": event, "kind": kind, "count": count} for (event, kind), count in found.events.items()]


def _went_wrong(found: Status) -> str:
    rows = _events(found)
    return "Noted:\n" + "\n".join(f"  {r['count']:,} × {r['event']}: {r['kind']}" for r in rows) if rows else ""
