"""The bare installation: a bundle is loaded and decides with numpy, the tokenizer and Python's own library alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.labels import COST, made_labels

from planner import export
from planner.bundle.vectors import made_up
from planner.router import Router
from planner.training import train

#: Refuses whatever a bare installation does not bring; prints a decision a line, and what was loaded.
BARE = """
import json, sys
ALLOWED = {"planner", "numpy", "quicktok", *sys.stdlib_module_names}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"{name} is not part of a bare installation")
sys.meta_path.insert(0, Refuse())
from planner import Router
router = Router.load(sys.argv[1])
for line in sys.stdin:
    messages, metadata = json.loads(line)
    decision = router.decide(messages, metadata, at="2026-01-01")
    print(json.dumps([decision.model, decision.score, decision.reason, decision.version]))
print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules})))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """Export a router."""
    training = train(made_labels(400), reference="large", cost=COST)
    return export(training.router.with_tau(0.02), tmp_path_factory.mktemp("bare") / "bundle")


@pytest.mark.parametrize("at", ["bundle", "gateway", "zip"])
def test_it_decides_the_same(bundle, tmp_path, at):
    """With every other library out of reach, a bundle, a gateway's folder and a packed bundle decide as in a full installation."""
    place = tmp_path / "gateway"
    shutil.copytree(bundle, place / "bundle")
    if at == "zip":
        place = Path(shutil.make_archive(str(tmp_path / "router"), "zip", bundle))
    requests = made_up(100, ["chat", "maths", "x"], seed=2)
    router = Router.load(bundle)
    wanted = [router.decide(m, d, at="2026-01-01") for m, d in requests]
    run = subprocess.run(
        [sys.executable, "-c", BARE, str(bundle if at == "bundle" else place)],
        input="\n".join(map(json.dumps, requests)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 0, run.stderr
    *decisions, loaded = map(json.loads, run.stdout.splitlines())
    assert decisions == [[w.model, w.score, w.reason, w.version] for w in wanted]
    third = set(loaded) - set(sys.stdlib_module_names) - {"__main__"}
    assert {m for m in third if not m.startswith(("_", "sitecustomize"))} == {"planner", "numpy", "quicktok"}


def test_the_proof_of_an_export_is_bare(bundle):
    """The process that proves an export loads nothing but what production has."""
    look = "import sys; sys.argv = ['x', sys.argv[1]]; import runpy; runpy.run_module('planner.router.rescore', run_name='__main__')"
    look += (
        "; print(); print(sorted({m.partition('.')[0] for m in sys.modules} & {'pandas', 'scipy', 'sklearn', 'pyarrow', 'yaml', 'tqdm'}))"
    )
    asked = json.dumps({"day": "", "singles": [["x", {}]], "columns": []})
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", look, str(bundle)], input=asked, capture_output=True, text=True, check=True, env=env)
    assert run.stdout.splitlines()[-1] == "[]"
    assert len(json.loads(run.stdout.splitlines()[0])[0]) == 1
