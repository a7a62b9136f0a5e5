"""Reading as a user does it: paths, formats, mappings, folders and errors."""

from __future__ import annotations

import errno
import json
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.litellm_records import PAYLOAD

from planner.errors import InputError
from planner.traffic import Reader, Traffic, read
from planner.traffic.attempts import Item, settle
from planner.traffic.seen import Seen
from planner.traffic.unknown import system_error

_MAPPING = {
    "request_id": "id",
    "timestamp": "at",
    "model": "llm.name",
    "provider": "=openai",
    "latency_ms": "took_s*1000",
    "total_input_tokens": "prompt",
    "cache_read_tokens": "cached",
    "total_output_tokens": "completion",
}
_ROWS = [
    {"id": f"r{i}", "at": 1_762_160_400 + i, "llm": {"name": "m"}, "took_s": 0.5, "prompt": 10, "cached": 4, "completion": 3}
    for i in range(3)
]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
def test_a_mapping_reads_any_table(tmp_path: Path, suffix: str) -> None:
    """Columns, nested names, factors, constants and inclusive totals give the same rows from JSON lines, Parquet and CSV."""
    rows = [{**r, "llm": json.dumps(r["llm"]) if suffix == ".csv" else r["llm"]} for r in _ROWS]
    traffic = read(_write(tmp_path / f"log{suffix}", rows), mapping=_MAPPING, out=tmp_path / "out", text=True)
    frame = traffic.frame("request_id", "model", "provider", "latency_ms", "input_tokens", "cache_read_tokens", "output_tokens")
    assert frame.to_numpy().tolist() == [[f"r{i}", "m", "openai", 500.0, 6, 4, 3] for i in range(3)]
    assert traffic.frame("timestamp")["timestamp"][1] == datetime(2025, 11, 3, 9, 0, 1, tzinfo=UTC)


def test_messages_of_any_table_become_text(tmp_path: Path) -> None:
    """A prompt as text, JSON text or a list is whole text in our shape; a source that says it was cut is believed."""
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    rows = [{**_ROWS[0], "id": i, "p": p, "state": s} for i, p, s in ((1, "Hi", None), (2, json.dumps(chat), None), (3, chat, "cut"))]
    mapping = {**_MAPPING, "messages": "p", "text_state": "state"}
    frame = read(_write(tmp_path / "log.jsonl", rows), mapping=mapping, out=tmp_path / "out", text=True).frame(
        "messages", "text_state", "turn"
    )
    assert [json.loads(m) for m in frame["messages"]] == [[{"role": "user", "content": "Hi"}], chat, chat]
    assert frame["text_state"].tolist() == ["full", "full", "cut"]
    assert frame["turn"].tolist() == [0, 1, 1]


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_how_a_file_is_cut_into_blocks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Accepted and quarantined rows, with lines and reasons, are the same whatever fits into one block."""
    log = _write(tmp_path / "log.jsonl", [{**PAYLOAD, "id": n, "prompt_tokens": 1200 + (n == "d")} for n in "abcadbe"])
    whole = read(log, out=tmp_path / "whole", text=True)
    monkeypatch.setattr(sys.modules["planner.traffic.read"], "_BLOCK_ROWS", rows)
    cut = read(log, out=tmp_path / "cut", text=True)
    pd.testing.assert_frame_equal(cut.frame(), whole.frame())
    pd.testing.assert_frame_equal(
        cut.quarantine.sort_values("line", ignore_index=True), whole.quarantine.sort_values("line", ignore_index=True)
    )
    assert {k: cut.meta[k] for k in ("accepted", "quarantined", "reasons", "files")} == {
        k: whole.meta[k] for k in ("accepted", "quarantined", "reasons", "files")
    }


def test_a_page_of_an_api_is_opened(tmp_path: Path) -> None:
    """What GET /spend/logs/v2 returns, records under "data" beside paging, is read like the records alone."""
    rows = [{**PAYLOAD, "id": str(i)} for i in range(3)]
    (tmp_path / "page.json").write_text(json.dumps({"data": rows, "total": 3, "page": 1}), "utf-8")
    page = read(tmp_path / "page.json", out=tmp_path / "1", text=True)
    assert page.hash == read(_write(tmp_path / "log.jsonl", rows), out=tmp_path / "2", text=True).hash


def test_reasons_are_counted_by_kind_and_the_span_is_kept(tmp_path: Path) -> None:
    """The header counts reasons without what is particular to a row, and holds first and last arrival."""
    rows = [{**PAYLOAD, "id": i, "startTime": 1762160400 + n, "endTime": 1762160500} for n, i in enumerate("abab")]
    meta = read(_write(tmp_path / "log.jsonl", rows), out=tmp_path / "out", text=True).meta
    assert meta["reasons"] == {"request_id 'a' again; the first one is kept (for example)": 2}
    assert (meta["first"], meta["last"]) == ("2025-11-03T09:00:00+00:00", "2025-11-03T09:00:01+00:00")


def test_our_own_table_needs_no_mapping_and_comes_back_equal(tmp_path: Path) -> None:
    """The Parquet of a Traffic folder, read as a table, is the same traffic."""
    first = read(_write(tmp_path / "log.jsonl", [PAYLOAD]), out=tmp_path / "first", text=True)
    again = read(first.folder / "traffic.parquet", out=tmp_path / "again", text=True)
    pd.testing.assert_frame_equal(first.frame(), again.frame())
    assert first.arrow("messages") == again.arrow("messages")
    assert again.meta["source_format"] == "table"


def test_a_traffic_folder_is_opened_as_it_is(tmp_path: Path) -> None:
    """Reading what was read before neither copies nor changes it."""
    first = read(_write(tmp_path / "log.jsonl", [PAYLOAD]), out=tmp_path / "first", text=True)
    assert read(tmp_path / "first", text=True).hash == first.hash


def test_constants_complete_a_trace(tmp_path: Path) -> None:
    """A mapping also adds to a known format what it does not say, such as the model of an anonymous trace."""
    path = tmp_path / "trace.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,1200,30\n", "utf-8")
    traffic = read(path, mapping={"model": "=gpt-4o", "provider": "=openai"}, out=tmp_path / "out", text=True)
    row = traffic.frame("model", "provider", "input_tokens", "request_id").iloc[0]
    assert row.tolist() == ["gpt-4o", "openai", 1200, "trace.csv:1"]
    assert traffic.meta["source_format"] == "azure_llm"


def test_mixed_times_of_azures_later_trace(tmp_path: Path) -> None:
    """The 2024 trace mixes times with and without fractions and zones; all are UTC instants."""
    path = tmp_path / "week.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,1,2\n2024-05-10 00:00:01+00:00,1,2\n2024-05-10 00:00:02,1,2\n"
    )
    times = read(path, out=tmp_path / "out", text=True).frame("timestamp")["timestamp"]
    assert times.dt.second.tolist() == [0, 1, 2]
    assert times[0].microsecond == 9930


def test_mooncake_blocks_must_cover_the_prompt(tmp_path: Path) -> None:
    """A row whose prefix ids do not fit its length in 512-token blocks is set aside with both numbers."""
    rows = [{"timestamp": 5, "input_length": n, "output_length": 1, "hash_ids": [1, 2]} for n in (1024, 513, 512, 1025)]
    traffic = read(_write(tmp_path / "m.jsonl", rows), out=tmp_path / "out", text=True)
    assert traffic.arrow("prefix_blocks")["prefix_blocks"].to_pylist() == [[1, 2], [1, 2]]
    assert traffic.frame("timestamp")["timestamp"][0] == datetime(2024, 1, 1, 0, 0, 0, 5000, tzinfo=UTC)
    assert traffic.quarantine["reason"].tolist() == [f"2 prefix blocks of 512 tokens for an input of {n} tokens" for n in (512, 1025)]
    assert "2024-01-01" in traffic.meta["assumed"][0]


def test_public_traces_are_read_whole(real_data: Path, tmp_path: Path) -> None:
    """Every row of the Azure and Mooncake traces is accepted, and their tokens sum to what pandas sums."""
    azure_path, mooncake_path = real_data / "azure_llm_inference_conv_2023.csv", real_data / "mooncake_conversation.jsonl"
    azure, mooncake = read(azure_path, out=tmp_path / "a", text=True), read(mooncake_path, out=tmp_path / "m", text=True)
    plain, lines = pd.read_csv(azure_path), pd.read_json(mooncake_path, lines=True)
    assert (len(azure), len(azure.quarantine)) == (len(plain), 0) == (19_366, 0)
    assert (len(mooncake), len(mooncake.quarantine)) == (len(lines), 0) == (12_031, 0)
    assert azure.tokens().sum(axis=0).tolist() == [plain["ContextTokens"].sum(), 0, 0, 0, plain["GeneratedTokens"].sum(), 0]
    assert mooncake.tokens().sum(axis=0).tolist() == [lines["input_length"].sum(), 0, 0, 0, lines["output_length"].sum(), 0]
    blocks = mooncake.arrow("prefix_blocks")["prefix_blocks"].to_pylist()
    assert blocks == lines["hash_ids"].tolist()


def test_the_default_folder_is_private_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without out, the result lies under .planner/traffic, readable by its owner only, and a second read opens it."""
    monkeypatch.chdir(tmp_path)
    log = _write(tmp_path / "log.jsonl", [PAYLOAD])
    first = read(log, text=True)
    assert first.folder.parts[:2] == (".planner", "traffic")
    assert stat.S_IMODE((first.folder / "traffic.parquet").stat().st_mode) == 0o600
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700
    written = (first.folder / "traffic.parquet").stat().st_mtime_ns
    assert (read(log, text=True).folder / "traffic.parquet").stat().st_mtime_ns == written
    assert read(log, app_from="model_group", text=True).folder != first.folder
    _write(log, [PAYLOAD, {**PAYLOAD, "id": "other"}])
    assert len(read(log, text=True)) == 2


def test_globs_lists_and_folders_find_the_same_files(tmp_path: Path) -> None:
    """A glob, a list and a folder of dated folders read the same rows, in order of path."""
    for day in ("2026-11-03", "2026-11-04"):
        (tmp_path / "logs" / day).mkdir(parents=True)
        _write(tmp_path / "logs" / day / "part.jsonl", [{**PAYLOAD, "id": day}])
    (tmp_path / "logs" / "readme.md").write_text("no log", "utf-8")
    whole = read(tmp_path / "logs", out=tmp_path / "1", text=True)
    glob = read(str(tmp_path / "logs" / "*" / "*.jsonl"), out=tmp_path / "2", text=True)
    listed = read(sorted((tmp_path / "logs").rglob("*.jsonl")), out=tmp_path / "3", text=True)
    assert whole.hash == glob.hash == listed.hash
    assert list(whole.meta["files"]) == ["2026-11-03/part.jsonl", "2026-11-04/part.jsonl"]


def test_progress_rises_to_the_whole_size(tmp_path: Path) -> None:
    """The callback hears rising byte counts of the total, and in the end all of it."""
    heard: list[tuple[int, int]] = []
    files = [_write(tmp_path / f"{i}.jsonl", [{**PAYLOAD, "id": str(i)}]) for i in range(3)]
    read(files, out=tmp_path / "out", progress=lambda done, total: heard.append((done, total)), text=True)
    size = sum(f.stat().st_size for f in files)
    assert [d for d, _ in heard] == sorted(d for d, _ in heard)
    assert heard[-1] == (size, size)


def test_a_reader_of_ones_own_is_a_value(tmp_path: Path) -> None:
    """A Reader passed as format= is used like ours; a key it misses quarantines the record."""
    mine = Reader(
        "mine",
        "lines with t and m",
        lambda sample: None,
        lambda record, options: {"timestamp": record["t"] * 1_000_000, "model": record["m"], "total_input_tokens": record.get("n")},
    )
    rows = [{"t": 1_762_160_400, "m": "a"}, {"t": 1_762_160_401}, {"t": 1_762_160_402, "m": "c", "n": 7}]
    traffic = read(_write(tmp_path / "x.jsonl", rows), mine, out=tmp_path / "out", text=True)
    assert traffic.frame("model")["model"].tolist() == ["a"]
    assert traffic.quarantine["reason"].tolist() == ["no m", "the input token buckets sum to 0, the source says 7"]


def test_a_reader_that_invents_columns_is_a_bug(tmp_path: Path) -> None:
    """A column that the traffic table does not have is the reader's mistake, not the data's."""
    mine = Reader("mine", "any", lambda sample: None, lambda record, options: {"colour": "red"})
    with pytest.raises(KeyError, match="columns that the traffic table does not have: colour"):
        read(_write(tmp_path / "x.jsonl", [{"a": 1}]), mine, out=tmp_path / "out", text=True)
    assert not (tmp_path / "out" / "traffic.parquet").exists()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ('{"a": 1, "b": 2}\n', {}, r"columns a, b; expected one of the formats anthropic_batch, .*, table\. For any other .* mapping="),
        ("just some prose\nin a file\n", {}, r"columns just some prose; expected one of"),
        ("", {}, r"x\.jsonl is empty\. Check the export"),
        (" \n", {}, r"x\.jsonl is empty"),
        ("[]", {}, r"x\.jsonl has no rows\. "),
        ("request_id,model\n", {}, r"x\.jsonl has no rows \(columns request_id, model\)"),
        (",".join(f"c{i}" for i in range(30)) + "\n" + ",".join("1" * 30) + "\n", {}, r"columns c0, .*, c7 and 22 more; expected"),
        ('{"a": 1', {}, r"x\.jsonl, record 1: not JSON: "),
        ("GIF89a\0\0\1\n\2", {}, r"x\.jsonl, which is not text; expected JSON, CSV or Parquet"),
        ("PK\3\4\0\0", {}, r"x\.jsonl is not text but a zip or Excel file"),
        (
            '{"a": 1}\n',
            {"format": "litelm_spend"},
            r"format 'litelm_spend'; expected auto or one of .*did you mean|Did you mean 'litellm_spend'",
        ),
        ('{"a": 1}\n', {"format": "litellm_spend"}, r"none of 1 records could be accepted \(no prompt_tokens and no completion_tokens\)"),
        ('{"a": 1}\n', {"mapping": {"request": "a"}}, r"mapping to 'request'; expected a column of the traffic table"),
        ('{"a": 1}\n', {"mapping": {"model": ""}}, r"mapping 'model': ''; expected a source column"),
        ('{"a": 1}\n', {"mapping": {"model": "b"}}, r"none of 1 records could be accepted \(no column b\)"),
    ],
)
def test_a_wrong_file_or_option_is_one_clear_sentence(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    """What cannot be read says what was seen, what was expected and what to do, and leaves nothing behind."""
    (tmp_path / "x.jsonl").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.jsonl", out=tmp_path / "out", **options, text=True)
    with pytest.raises(InputError, match=r"expected a folder written by planner\.read"):
        Traffic.open(tmp_path / "out")


def test_errors_about_files_are_short(tmp_path: Path) -> None:
    """Whatever the file is, the sentence fits into a screen's few lines."""
    (tmp_path / "x.csv").write_text(",".join("c" * 60 + str(i) for i in range(99)) + "\n" + ",".join("1" * 99) + "\n", "utf-8")
    with pytest.raises(InputError, match="and 91 more") as caught:
        read(tmp_path / "x.csv", out=tmp_path / "out", text=True)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 600


def test_a_reason_that_all_rows_share_is_shown_whole(tmp_path: Path) -> None:
    """A count below zero is named with its number, not with a gap."""
    rows = [{"request_id": str(i), "timestamp": 1_762_160_400, "model": "m", "input_tokens": n} for i, n in enumerate((-5, -5, 3))]
    meta = read(_write(tmp_path / "log.jsonl", rows), out=tmp_path / "out", text=True).meta
    assert meta["reasons"] == {"input_tokens is -5, below zero": 2}


def test_a_folder_is_searched_past_hidden_folders_and_our_own_results(tmp_path: Path) -> None:
    """Reading the folder one works in finds the logs, not what planner left there before."""
    log = _write(tmp_path / "log.jsonl", [PAYLOAD])
    first = read(log, out=tmp_path / "november", text=True)
    read(log, out=tmp_path / ".planner" / "traffic" / "x", text=True)
    (tmp_path / "labels").mkdir()
    for name in ("labels.json", "items.parquet"):
        (tmp_path / "labels" / name).write_text("{}", "utf-8")
    again = read(tmp_path, out=tmp_path / "all", text=True)
    assert list(again.meta["files"]) == ["log.jsonl"]
    assert again.hash == first.hash


def test_a_folder_with_files_of_others_is_not_written(tmp_path: Path) -> None:
    """An earlier result, whole or broken off, is written over; a folder with anything else, or a file, is refused and kept."""
    log = _write(tmp_path / "log.jsonl", [PAYLOAD])
    out = read(log, out=tmp_path / "out", text=True).folder
    assert len(read(log, out=out, text=True)) == 1
    (out / "traffic.json").unlink()
    assert len(read(log, out=out, text=True)) == 1
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "traffic.parquet").write_text("precious", "utf-8")
    (mine / "thesis.tex").write_text("precious", "utf-8")
    with pytest.raises(InputError, match=r"mine, which holds thesis\.tex; expected a new or empty folder.*another folder with --out"):
        read(log, out=mine, text=True)
    assert (mine / "traffic.parquet").read_text("utf-8") == "precious"
    with pytest.raises(InputError, match=r"log\.jsonl, which is a file; expected a folder to write"):
        read(log, out=log, text=True)


def test_other_results_of_ours_are_no_logs(tmp_path: Path) -> None:
    """Labels and a bundle given as a log are named, with the verb that takes them."""
    for name, what in (
        ("labels.json", r"a folder of labels; .* planner train"),
        ("manifest.json", r"an exported router; .* planner decide"),
    ):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("{}", "utf-8")
        with pytest.raises(InputError, match=what):
            read(folder, out=tmp_path / "out", text=True)


def test_errors_of_the_system_have_a_next_step(tmp_path: Path) -> None:
    """A path below a file, and one too long, are one sentence each with what to do."""
    log = _write(tmp_path / "log.jsonl", [PAYLOAD])
    with pytest.raises(InputError, match=r"log\.jsonl.*: not a directory\. Choose a folder, not a file, with --out"):
        read(log, out=log / "below", text=True)
    with pytest.raises(InputError, match=r"file name too long\. Use a shorter path"):
        read(log, out=tmp_path / ("x" * 300), text=True)
    denied = system_error(PermissionError(errno.EACCES, "Permission denied", "/logs/a"))
    assert str(denied) == "/logs/a: permission denied. Allow this user to read and write it, or choose another folder with --out."
    assert system_error(OSError("odd")) is None


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    """A path where nothing is says so."""
    with pytest.raises(InputError, match=r"nothing\.jsonl: no file there"):
        read(tmp_path / "nothing.jsonl", text=True)


def test_seen_ids_equal_a_set() -> None:
    """Repeats found block by block are those that a plain set finds."""
    rng = np.random.default_rng(7)
    seen, known = Seen(), set[str]()
    for size in (1, 50, 3, 400, 0, 90):
        ids = [f"id-{n}" for n in rng.integers(0, 300, size)]
        expected = []
        for name in ids:
            expected.append(name in known)
            known.add(name)
        assert seen.repeated(ids).tolist() == expected


def test_the_last_failure_of_a_request_waits_one_block_only() -> None:
    """A failed call without a later one is given out with the next block, so that memory stays bounded."""
    row = {"call_id": "c", "timestamp": 1, "status": "transport", "request_id": "r"}
    item = Item("f", 1, b"", row)
    assert settle([item], last=False) == ([], [item])
    assert settle([item], last=False) == ([item], [])
    assert settle([Item("f", 2, b"", dict(row))], last=True)[1] == []
