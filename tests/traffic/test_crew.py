"""Parts of a log are converted by any number of processes, or record by record: the same bytes come out."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reader_mutations import SEEDS, Seed, seeds, written
from planner.errors import InputError
from planner.schema import TRAFFIC
from planner.traffic import Traffic, crew, pieces, read
from planner.traffic.pieces import Piece
from planner.traffic.reader import Options, Reader, all_readers
from planner.traffic.readers.litellm_payload import READER
from planner.traffic.records import Batch, Objects, Rows, parts

_ALL = {seed.name: seed for seed in seeds()}
_READ = sys.modules["planner.traffic.read"]
_SCRIPT = """
from pathlib import Path
import planner.traffic.crew as crew
from planner.traffic import read
crew._WORTH_BYTES, crew._processors = 0, lambda: 3
print("begun")
print(len(read("log", "litellm_payload", out="out")))
"""


def _log(seed: Seed, at: int, folder: Path, records: int = 150) -> Path:
    """Write mutated records of ``seed``, and the first half of every file once more, so that ids come again."""
    (folder / "log").mkdir()
    written(seed, 2 + records // len(seed), random.Random(at), folder / "log")
    for path in list((folder / "log").glob("*.ndjson")):
        (folder / "log" / f"z_{path.name}").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder / "log"


def _read(log: Path, format: str, out: Path, text: bool = True) -> tuple[dict[str, Any], bytes, bytes] | str:
    try:
        traffic = read(log, format, out=out, text=text)
    except InputError as error:
        return str(error)
    return dict(traffic.meta), (out / "traffic.parquet").read_bytes(), (out / "quarantine.parquet").read_bytes()


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Piece]]:
    """Return a function that lets so many processes make all that they can, and tells what they made."""
    made: list[Piece] = []

    class Ready(crew._Crew):
        """A crew that nobody helps, however small the log is."""

        @property
        def ready(self) -> bool:
            return True

        @ready.setter
        def ready(self, value: bool) -> None:
            pass

        def _asked(self, question: Any) -> Any:
            answer = super()._asked(question)
            made.extend([answer] if isinstance(answer, Piece) else [])
            return answer

    def start(processors: int) -> list[Piece]:
        monkeypatch.setattr(crew, "_WORTH_BYTES", 0)
        monkeypatch.setattr(crew, "_processors", lambda: processors)
        monkeypatch.setattr(crew, "_Crew", Ready)
        return made

    return start


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def _small(monkeypatch: pytest.MonkeyPatch, block: int, rows: int) -> None:
    monkeypatch.setattr("planner.traffic.streams._BLOCK_BYTES", block)
    monkeypatch.setattr(_READ, "_BLOCK_ROWS", rows)


@pytest.mark.parametrize("name", _ALL)
@settings(max_examples=2)
@given(at=st.integers(0, 2**32), block=st.sampled_from([500, 3_000, 4 << 20]), rows=st.sampled_from([7, 100, 16_384]), text=st.booleans())
def test_columns_are_those_of_record_by_record(name: str, at: int, block: int, rows: int, text: bool) -> None:
    """Of damaged and repeated records, rows, quarantine, reasons and counts are byte for byte those of the plain way, however it is cut."""
    with tempfile.TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        log = _log(_ALL[name], at, Path(where))
        _small(patch, block, rows)
        patch.setattr("planner.traffic.privacy.SALT", Path(where) / "salt")
        found = _read(log, _ALL[name].format, Path(where) / "fast", text)
        patch.setattr(pieces, "_may_change", lambda item: True)
        assert found == _read(log, _ALL[name].format, Path(where) / "plain", text)


@pytest.mark.parametrize("name", _ALL)
@settings(max_examples=3)
@given(at=st.integers(0, 2**32))
def test_leaving_text_leaves_nothing_else_of_damaged_records(name: str, at: int) -> None:
    """Of damaged and repeated records, those accepted and set aside are the same with text and without, and so are all other columns."""
    with tempfile.TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.traffic.privacy.SALT", Path(where) / "salt")
        log, outs = _log(_ALL[name], at, Path(where)), [Path(where) / str(text) for text in (True, False)]
        told = [_read(log, _ALL[name].format, out, out.name == "True") for out in outs]
        if isinstance(told[0], str) or isinstance(told[1], str):
            assert isinstance(told[0], str)
            assert isinstance(told[1], str)
            return
        whole, bare = map(Traffic.open, outs)
        same = [c for c in TRAFFIC.names if c not in ("messages", "response", "text_state", "cache_key")]
        assert bare.arrow(*same).equals(whole.arrow(*same))
        assert bare.quarantine[["file", "line"]].equals(whole.quarantine[["file", "line"]])
        assert bare.filled("messages", "response") == ()


@pytest.mark.parametrize("name", ["litellm_payload.ndjson", "otel.ndjson", "langfuse_export.ndjson"])
@pytest.mark.parametrize(("processors", "text"), [(2, True), (4, True), (3, False)])
def test_any_number_of_processes_gives_the_same(
    name: str, processors: int, text: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: Callable[[int], list[Piece]]
) -> None:
    """One process or several, in whatever order they are done: the same bytes, the same header."""
    log = _log(_ALL[name], 1, tmp_path)
    monkeypatch.chdir(tmp_path)
    _small(monkeypatch, 20_000, 100)
    alone = _read(log, _ALL[name].format, tmp_path / "alone", text)
    made = helped(processors)
    assert _read(log, _ALL[name].format, tmp_path / "together", text) == alone
    assert len(made) > 5


@pytest.mark.parametrize("name", ["litellm_payload.ndjson", "otel.ndjson", "langfuse_export.ndjson"])
def test_an_array_is_read_by_several_processes_as_by_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: Callable[[int], list[Piece]]
) -> None:
    """What an array holds is cut where objects end, opened by any process, and each record set aside stands as it was written."""
    lines = [line for path in sorted(_log(_ALL[name], 5, tmp_path).iterdir()) for line in path.read_bytes().split(b"\n")]
    log = tmp_path / "array"
    log.mkdir()
    (log / "log.json").write_bytes(b"[\n" + b",\n".join(line for line in lines if _is_object(line)) + b"\n]\n")
    _small(monkeypatch, 20_000, 100)
    assert sum(isinstance(part, Objects) for part in parts(log / "log.json")) >= 4
    with monkeypatch.context() as patch:
        patch.setattr("planner.traffic.records.whole", lambda buffer, start: (0, 0))
        plain = _read(log, _ALL[name].format, tmp_path / "plain")
    alone = _read(log, _ALL[name].format, tmp_path / "alone")
    assert not isinstance(alone, str)
    assert alone == plain
    made = helped(3)
    assert _read(log, _ALL[name].format, tmp_path / "together") == alone
    assert len(made) >= 4


_TOGETHER = sorted(name for name, seed in _ALL.items() if (reader := all_readers()[seed.format]).gather and not reader.opens)


@pytest.mark.parametrize("name", _TOGETHER)
def test_parts_that_belong_together_may_stand_in_arrays(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests and answers that are joined by id are joined, and told apart from copies, where many objects of an array are cut at once."""
    (tmp_path / "arrays").mkdir()
    for path in _log(_ALL[name], 6, tmp_path).iterdir():
        lines = [line for line in path.read_bytes().split(b"\n") if _is_object(line)]
        if lines:
            (tmp_path / "arrays" / f"{path.name}.json").write_bytes(b"[" + b",  ".join(lines) + b"]")
    _small(monkeypatch, 5_000, 100)
    fast = _read(tmp_path / "arrays", _ALL[name].format, tmp_path / "fast")
    monkeypatch.setattr("planner.traffic.records.whole", lambda buffer, start: (0, 0))
    assert fast == _read(tmp_path / "arrays", _ALL[name].format, tmp_path / "plain")


@pytest.mark.parametrize("kind", [Rows, Batch])
def test_a_table_is_read_by_several_processes_as_by_one(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: Callable[[int], list[Piece]]
) -> None:
    """Rows of CSV and Parquet, those with line ends in cells and those set aside too, come out the same from one process and several."""
    seed = json.loads((SEEDS / "litellm_payload.ndjson").read_text("utf-8").splitlines()[0])
    cells = {"request_id": "", "ts": "2026-11-03T09:00:00Z", "model": "gpt-5", "tin": "5", "said": json.dumps(seed, indent=1)}
    made = [{**cells, "request_id": f"r{i % 290}", "tin": "x" if i % 50 == 7 else str(i)} for i in range(300)]
    log = tmp_path / "log"
    log.mkdir()
    if kind is Batch:
        pq.write_table(pa.Table.from_pylist(made), log / "log.parquet")
    else:
        with (log / "log.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, cells)
            rows.writeheader()
            rows.writerows(made)
            file.write("only,two\n\n")
    mapping = {"request_id": "request_id", "timestamp": "ts", "model": "model", "input_tokens": "tin", "messages": "said"}
    monkeypatch.setattr("planner.traffic.csv_rows._TOGETHER", 20_000)
    monkeypatch.setattr("planner.traffic.parquet_rows._ROWS", 50)
    assert sum(isinstance(part, kind) for part in parts(next(log.iterdir()))) > 5

    def found(out: Path) -> tuple[dict[str, Any], bytes, bytes]:
        traffic = read(log, "table", out=out, mapping=mapping, text=True)
        return dict(traffic.meta), (out / "traffic.parquet").read_bytes(), (out / "quarantine.parquet").read_bytes()

    alone = found(tmp_path / "alone")
    assert (alone[0]["accepted"], alone[0]["quarantined"]) == (285, 15 + (kind is Rows))  # 6 are no counts, 9 come again, one is short
    made = helped(3)
    assert found(tmp_path / "together") == alone
    assert len(made) > 5


@pytest.mark.parametrize("lives", [0, 2, 5])
def test_a_process_that_ends_early_costs_only_time(
    lives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: Callable[[int], list[Piece]]
) -> None:
    """Whether it never starts or ends after some parts, what it leaves is made here."""
    name = "litellm_payload.ndjson"
    log = _log(_ALL[name], 2, tmp_path)
    _small(monkeypatch, 20_000, 100)
    alone = _read(log, "litellm_payload", tmp_path / "alone")
    made = helped(3)
    dies = f"import pickle, os\nloads, left = pickle.load, [{lives}]\n"
    dies += "def load(file):\n    left[0] -= 1\n    return loads(file) if left[0] >= 0 else os._exit(1)\npickle.load = load\n"
    monkeypatch.setattr(crew, "_PROGRAM", dies + crew._PROGRAM)
    assert _read(log, "litellm_payload", tmp_path / "together") == alone
    assert bool(made) == (lives > 1)
    assert len(made) <= 3 * max(0, lives - 1)


def test_where_no_process_can_start_the_log_is_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helped: Callable[[int], list[Piece]]
) -> None:
    """A machine that gives no process away costs only time, too."""
    log = _log(_ALL["litellm_payload.ndjson"], 2, tmp_path)
    _small(monkeypatch, 20_000, 100)
    alone = _read(log, "litellm_payload", tmp_path / "alone")
    made = helped(3)
    monkeypatch.setattr(crew.sys, "executable", str(tmp_path / "no python"))
    assert _read(log, "litellm_payload", tmp_path / "together") == alone
    assert not made


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """A script that reads at its top level runs once, not once more in every process."""
    _log(_ALL["litellm_payload.ndjson"], 3, tmp_path)
    (tmp_path / "script.py").write_text(_SCRIPT, "utf-8")
    known = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=known, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "begun"
    assert done.stdout.count("begun") == 1


def test_a_reader_of_ones_own_is_not_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Reader that another process could not know converts here, whatever its name."""
    monkeypatch.setattr(crew, "_WORTH_BYTES", 0)
    monkeypatch.setattr(crew, "_processors", lambda: 4)
    own = Reader("litellm_payload", "", lambda sample: "", lambda record, options: {**READER.convert(record, Options()), "app": "mine"})
    log = _log(_ALL["litellm_payload.ndjson"], 4, tmp_path)
    traffic: Traffic = read(log, own, out=tmp_path / "out", text=True)
    assert set(traffic.frame("app")["app"]) == {"mine"}
