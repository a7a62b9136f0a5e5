"""Every notebook runs from top to bottom, says what the library says, and holds nothing but calls."""

from __future__ import annotations

import ast
import html
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from support.chain import chain

import planner
from planner.outcomes import asked, choose_threshold, reliability, retained
from planner.policies import Batch, ExactCache, Hedge, Retry, Route
from planner.prices import timeline
from planner.simulation import World, run
from planner.synthetic import best_reachable
from planner.synthetic.sample import MAPPING
from planner.training import examples
from planner.training.judge import curve
from planner.training.learning_curve import held_rows, lift

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
CODE_LINES = 70
#: Whose names a notebook may use beside the public ones, if it imports them.
PACKAGES = {"bundle", "comparison", "outcomes", "prices", "simulation", "synthetic"}

#: A last cell that says, as JSON, what the names of a notebook hold.
_SAY = {
    "00_start": """
import json
held = {
    "requests": len(traffic),
    "spent": spend.total.value,
    "advice": advice.combined.value,
    "router": training.router.version,
    "chosen": chosen,
    "row": frontier.table.iloc[chosen].to_dict(),
    "best": best.to_dict("list"),
    "plans": comparison.table.set_index("plan")["saving_usd_per_month"].to_dict(),
    "decision": [decision.model, decision.reason, decision.version],
    "shown": explorer.kpis.value,
}
print(json.dumps(held, default=float))
""",
    "01_audit_traffic": """
import json
held = {
    "requests": len(traffic),
    "spent": spend.total.value,
    "losses": spend.losses.set_index("loss")["usd"].to_dict(),
    "changes": timeline.changes.to_numpy().tolist(),
    "parts": {part: str(reconciliation.pusd(part)) for part in ("contract", "outside", "named", "unexplained", "invoice")},
    "outside": bill.outside_usd,
    "advice": advice.combined.value,
}
print(json.dumps(held, default=float))
""",
    "02_train_router": """
import json
held = {
    "router": training.router.version,
    "verdict": training.verdict.text,
    "guarantee": guarantee.text,
    "harm": training.harm.total.value,
    "row": frontier.table.iloc[chosen].to_dict(),
    "reliability": reliability.table["ece"].to_dict(),
    "lift": curve.set_index(["labels", "method"])["lift"].iloc[-3:].tolist(),
    "loaded": router.version,
}
print(json.dumps(held, default=float))
""",
    "03_scenarios": """
import json
held = {
    "plan": plan.hash,
    "row": comparison.table.iloc[-1].drop(["plan", "evidence", "noninferior"]).astype(float).to_dict(),
    "steps": waterfall.table.set_index("lever")["saving_usd_per_month"].to_dict(),
    "days": days.table.iloc[1:].set_index("value")[["hit_share", "saving_usd_per_month"]].to_dict("list"),
    "false": choice.later.table[["hit_rate", "false_hits"]].to_dict("list"),
    "retained": retained["retention"].tolist(),
    "late": windows.table.iloc[1:][["misses_0h", "misses_1h", "misses_6h", "waited_h"]].to_dict("list"),
}
print(json.dumps(held, default=float))
""",
    "04_tail_and_failures": """
import json
columns = ["p99_ms", "usd_per_month", "failure_share", "calls"]
held = {
    "law": residual.tail.family,
    "chance": outcomes.call_failures.table["chance"].tolist(),
    **{s.lever.key: s.table[columns].to_dict("list") for s in (hedged, cut, tried, limited)},
    "correlations": sorted(set(hedged.table["correlation"].dropna())),
    "refused": limited.table["refused_share"].dropna().tolist(),
}
print(json.dumps(held, default=float))
""",
    "06_export_and_verify": """
import json
held = {
    "router": router.version,
    "verified": verification.table.set_index(["measure", "app"])["difference"].to_dict(),
    "predicted": verification.table.set_index(["measure", "app"])["predicted"].to_dict(),
    "alarms": [check.name for check in verification.alarms],
    "parts": bridge.table.set_index("line")["pusd"].to_dict(),
    "bills": bridge.bills,
    "drifted": drift.table.set_index("measure")["alarm"].to_dict(),
    "gate": [gate.verdict, gate.difference.value],
}
print(json.dumps({k: {str(a): b for a, b in v.items()} if isinstance(v, dict) else v for k, v in held.items()}, default=float))
""",
}


def _code(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _run(path: Path, folder: Path) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
    """Run a copy of ``path`` in ``folder``; return it with its outputs, and what its names hold."""
    notebook = nbformat.read(path, 4)
    notebook.cells.append(nbformat.v4.new_code_cell(_SAY[path.stem]))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    said = "".join(output.text for output in notebook.cells[-1].outputs if output.output_type == "stream")
    return notebook, json.loads(said.splitlines()[-1])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_only_calls(path: Path) -> None:
    """No definitions, few lines, one title, public names, no stored outputs."""
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    code = "\n".join(_code(notebook))
    nodes = list(ast.walk(ast.parse(code)))
    assert not [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.ImportFrom | ast.For | ast.While)]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= CODE_LINES
    titles = [line for c in notebook.cells if c.cell_type == "markdown" for line in c.source.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    used = set(re.findall(r"\bplanner\.(\w+)", code))
    opened = {name.removeprefix("planner.") for n in nodes if isinstance(n, ast.Import) for name in (a.name for a in n.names)}
    assert used <= {*planner.__all__, *(opened & PACKAGES)}
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells if c.cell_type == "code")
    assert "SYNTHETIC" in notebook.cells[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_has_checked_numbers(path: Path) -> None:
    """A notebook without numbers to compare is not tested."""
    assert path.stem in _SAY


def test_start_says_what_the_library_says(work_folder: Path) -> None:
    """The first notebook runs without an error, and every number it holds is the library's own."""
    path = next(p for p in NOTEBOOKS if p.stem == "00_start")
    notebook, held = _run(path, work_folder)
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr" and "Warning" in o.text]
    ours = chain()
    chosen = ours.frontier.for_floor(ours.training.floor) or 0
    assert held["requests"] == len(ours.traffic)
    assert held["spent"] == planner.audit(ours.traffic, ours.book).total.value
    assert held["advice"] == planner.recommend(ours.traffic, book=ours.book).combined.value
    assert held["router"] == ours.training.router.version
    assert held["chosen"] == chosen
    row = ours.frontier.table.iloc[chosen]
    np.testing.assert_allclose([held["row"][name] for name in row.index], row.to_numpy(float), rtol=1e-12)
    assert held["best"] == best_reachable(ours.traffic, ours.frontier, ours.outcomes, ours.book).to_dict("list")
    assert held["plans"]["as logged"] == 0.0
    ours_saves = held["plans"]["explorer: floor -2 points, all apps"]
    assert ours_saves == pytest.approx(row["saving_usd_per_month"], rel=1e-9)
    router = ours.training.router.with_tau(float(ours.frontier.tau[chosen]))
    question = [{"role": "user", "content": "Where is my parcel? It should have come on Monday."}]
    decision = router.decide(question, {"app": "support-chat"})
    assert held["decision"] == [decision.model, decision.reason, router.version]
    assert f"{row['saving_usd_per_month']:,.2f}" in held["shown"]


def test_audit_says_what_the_library_says(work_folder: Path) -> None:
    """The audit's notebook runs; its sums are the library's, the bill's parts add up, and what was billed past the log is found."""
    notebook, held = _run(next(p for p in NOTEBOOKS if p.stem == "01_audit_traffic"), work_folder)
    _clean(notebook)
    ours = chain()
    spend = planner.audit(ours.traffic, ours.book)
    assert held["requests"] == len(ours.traffic)
    assert held["spent"] == spend.total.value
    assert held["losses"] == spend.losses.set_index("loss")["usd"].to_dict()
    assert held["changes"] == timeline(spend).changes.to_numpy().tolist()
    parts = {name: int(pusd) for name, pusd in held["parts"].items()}
    assert parts.pop("invoice") == sum(parts.values()), "to the pico-dollar"
    assert parts["outside"] / 1e12 == pytest.approx(held["outside"], rel=0.03), "an estimate: at the rate of the log's own calls"
    assert held["advice"] == planner.recommend(ours.traffic, book=ours.book).combined.value


def test_train_router_says_what_the_library_says(work_folder: Path) -> None:
    """The second notebook runs without an error, its numbers are the library's, and prompts are shown escaped."""
    path = next(p for p in NOTEBOOKS if p.stem == "02_train_router")
    notebook, held = _run(path, work_folder)
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    ours = chain()
    assert held["router"] == held["loaded"] == ours.training.router.version
    assert held["verdict"] == ours.training.verdict.text
    assert held["guarantee"] == ours.training.guarantees["learned"].text
    assert ours.training.harm is not None
    assert held["harm"] == ours.training.harm.total.value
    chosen = ours.frontier.at(ours.training.router.tau)
    assert ours.frontier.tau[chosen] == ours.training.router.tau
    row = ours.frontier.table.iloc[chosen]
    np.testing.assert_allclose([held["row"][name] for name in row.index], row.to_numpy(float), rtol=1e-12)
    assert held["reliability"] == pytest.approx(reliability(ours.outcomes, ours.training).table["ece"].to_dict())
    rows, requests = held_rows(ours.training.problem, ours.training.router)
    scores = ours.training.router.scores(requests, ours.training.problem.day)
    assert held["lift"][0] == pytest.approx(lift(curve(rows, scores), rows)), "fitted to all labels it is the router itself"
    page = "".join(o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {}))
    shown = examples(ours.training, per_decile=1)["prompt"].str[:40]
    assert all(html.escape(prompt, quote=False) in page for prompt in shown)


def _world() -> World:
    """Open the sample without its labels, as the notebooks of scenarios do."""
    traffic, book = chain().traffic, chain().book
    return World(traffic, planner.fit_outcomes(traffic), book, book.date)


def _clean(notebook: nbformat.NotebookNode) -> None:
    """Nothing failed, and every picture names its data."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr" and "Warning" in o.text]
    drawn = [c.source for c in notebook.cells if c.cell_type == "code" and "planner.figures." in c.source]
    assert drawn
    assert all("note=NOTE" in source for source in drawn)


def test_scenarios_say_what_the_library_says(work_folder: Path) -> None:
    """The third notebook runs; its plan survives its file, its money and misses are the simulator's own, its steps add up."""
    notebook, held = _run(next(p for p in NOTEBOOKS if p.stem == "03_scenarios"), work_folder)
    _clean(notebook)
    world = _world()
    batch = Batch(("nightly-summary",), window_minutes=60, deadline_hours=12)
    cache = ExactCache(ttl_s=7 * 86_400, apps=("docs-rag", "support-chat"))
    retry = Retry({"transport": 2, "rate_limit": 2})
    plan = planner.Plan((batch, cache, retry), "autumn")
    assert held["plan"] == plan.hash
    ours = run(world, plan).table.iloc[-1]
    for name in ("usd_per_month", "saving_usd_per_month", "saving_low", "saving_high", "failure_share", "p95_ms"):
        assert held["row"][name] == pytest.approx(ours[name], rel=1e-9), name
    assert held["steps"].pop("all") == pytest.approx(sum(held["steps"].values()), rel=1e-9)
    alone = run(world, planner.Plan((cache,), "cache")).table.iloc[-1]["saving_usd_per_month"]
    assert held["days"]["saving_usd_per_month"][-1] == pytest.approx(alone, rel=1e-9)
    assert held["days"]["hit_share"] == sorted(held["days"]["hit_share"]), "a longer life serves no fewer"
    choice = choose_threshold(asked(world.traffic, floor=0.6, apps=["docs-rag"]), limit=0.1)
    assert held["false"]["hit_rate"] == choice.later.table["hit_rate"].tolist()
    assert held["retained"] == retained(world.traffic, "docs-rag", requests=100)["retention"].tolist()
    late = np.array([held["late"][f"misses_{h}h"] for h in (0, 1, 6)])
    assert (np.diff(late, axis=0) >= 0).all(), "a slower provider misses no fewer deadlines"
    assert held["late"]["waited_h"] == sorted(held["late"]["waited_h"])


def test_tail_and_failures_say_what_the_library_says(work_folder: Path) -> None:
    """The fourth notebook runs; its curves are the simulator's own, at the three correlations that are assumed."""
    notebook, held = _run(next(p for p in NOTEBOOKS if p.stem == "04_tail_and_failures"), work_folder)
    _clean(notebook)
    world = _world()
    assert world.outcomes.latency is not None
    assert world.outcomes.call_failures is not None
    assert held["law"] == world.outcomes.latency.speed("gpt-5.4").residual.tail.family
    assert held["chance"] == world.outcomes.call_failures.table["chance"].tolist()
    assert held["correlations"] == [0.0, 0.5, 0.8]
    hedged = run(world, planner.Plan((Hedge(6_000, apps=("support-chat",)),), "hedge")).table.set_index("app").loc["support-chat"]
    assert held["hedge"]["p99_ms"][5 + 2] == pytest.approx(hedged["p99_ms"]), "0.5 is what the log's own model assumes"
    assert held["hedge"]["usd_per_month"][5 + 2] == pytest.approx(hedged["usd_per_month"])
    blind = run(world, planner.Plan((Retry.blind(2),), "blind")).table.iloc[-1]
    assert held["retry"]["usd_per_month"][-1] == pytest.approx(blind["usd_per_month"])
    assert held["retry"]["failure_share"][-1] == pytest.approx(blind["failure_share"])
    assert held["refused"] == sorted(held["refused"], reverse=True), "a higher limit refuses no more"


def test_export_and_verify_say_what_the_library_says(work_folder: Path) -> None:
    """The last notebook runs; what it measures is the library's on the same month, and what it predicted is the simulator's."""
    notebook, held = _run(next(p for p in NOTEBOOKS if p.stem == "06_export_and_verify"), work_folder)
    _clean(notebook)
    ours = chain()
    assert held["router"] == ours.training.router.version
    after = planner.read(work_folder / ".planner" / "next_month.jsonl.zst", mapping=MAPPING, text=True)
    found = planner.verify(after, work_folder / ".planner" / "production", book=ours.book)
    measured = found.table.set_index(["measure", "app"])["difference"]
    assert held["verified"] == pytest.approx({str(k): v for k, v in measured.items()}, nan_ok=True)
    assert not held["alarms"]
    world = World(ours.traffic, ours.outcomes, ours.book, ours.book.date)
    plan = planner.Plan((Route(ours.training.router),), "route")
    saving = run(world, plan).saving_share(run(world, plan).summary.groups.index(("support-chat",)))
    assert held["predicted"]["('saving_share', 'support-chat')"] == pytest.approx(saving.value)
    assert sum(held["parts"].values()) == held["bills"][1] - held["bills"][0], "to the pico-dollar"
    assert held["parts"]["routing"] < 0
    assert held["drifted"]["prompt templates"]
    assert sum(held["drifted"].values()) == 1, "the world is the same but for the prompts that were edited in the last month"
    gate = planner.gate(ours.labels, ours.labels, model="claude-haiku-4-5", against="claude-sonnet-4-5", margin=0.02)
    assert held["gate"] == ["fail", pytest.approx(gate.difference.value)]
