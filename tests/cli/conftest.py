"""One small SYNTHETIC sample, read and trained on once, for every test of the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main

#: A script of the environment the tests run in: the same entry point that an installation makes.
PLANNER = Path(sys.executable).with_name("planner")


@dataclass(frozen=True)
class Ran:
    """What a finished ``planner`` left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        assert self.code == 0, self.err
        return json.loads(self.out)


def call(*arguments: str | Path, stdin: str = "", cwd: Path | None = None) -> Ran:
    """Run ``planner`` as a user does, warnings as errors."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONWARNINGS": "error", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(PLANNER), *map(str, arguments)], input=stdin, capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs ``planner`` in this process: its exit status, what it printed, and what it said beside it."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["planner", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="session")
def planner() -> Callable[..., Ran]:
    """Return the function that runs ``planner``."""
    return call


@dataclass(frozen=True)
class Desk:
    """A folder with a raw log and labels, and what reading and training made of them."""

    folder: Path
    log: Path
    labels: Path
    read: Ran
    trained: Ran
    simulated: Ran

    @property
    def traffic(self) -> Path:
        """The folder that ``planner read`` wrote."""
        return self.folder / "november"

    @property
    def bundle(self) -> Path:
        """The folder that ``planner train`` wrote."""
        return self.folder / "router"


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Write a small sample with two damaged lines, read it, train on its labels and simulate."""
    from planner.synthetic import write_sample

    folder = tmp_path_factory.mktemp("desk")
    write_sample(folder, requests=1_600)
    log, labels = folder / "sample_log.jsonl", folder / "sample_labels"
    _damaged(folder / "sample_log.jsonl.zst", log)
    traffic, bundle = folder / "november", folder / "router"
    read = call("read", log, "--text", "--out", traffic, "--json")
    trained = call("train", labels, "--log", traffic, "--out", bundle, "--json")
    simulated = call("simulate", traffic, "--labels", labels, "--bundle", bundle, "--json")
    return Desk(folder, log, labels, read, trained, simulated)


def _damaged(packed: Path, plain: Path) -> None:
    """Unpack a log and add a line that is no JSON and one that is no request."""
    import pyarrow as pa

    with pa.CompressedInputStream(pa.OSFile(str(packed)), "zstd") as stream:
        content = stream.read()
    plain.write_bytes(content + b'{"broken": \n{"neither": "this"}\n')
    packed.unlink()
