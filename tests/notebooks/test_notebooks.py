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
from planner.outcomes import reliability
from planner.synthetic import best_reachable
from planner.training import examples
from planner.training.judge import curve
from planner.training.learning_curve import held_rows, lift

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
CODE_LINES = 70

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
    assert used <= {*planner.__all__, "synthetic"}
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
