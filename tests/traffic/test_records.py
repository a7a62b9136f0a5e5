"""Files of every container give the same records, and what is broken in them is kept whole."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.traffic import read
from planner.traffic import records as records_module
from planner.traffic import streams as module
from planner.traffic.records import Batch, Found, parts, raw_text, records, text_bytes

_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(st.characters(exclude_categories=["Cs"]))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text('abc"\\{}[],:\n', max_size=4), inner, max_size=3)),
    max_leaves=8,
)
_OBJECTS = st.lists(st.dictionaries(st.text("abc", max_size=2), _JSON, max_size=3), min_size=1, max_size=6)


def _values(path: Path) -> list[Any]:
    return [f.value for f in records(path)]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose files every generated example overwrites."""
    return tmp_path_factory.mktemp("records")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be a few bytes, so that every record crosses their borders."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 7)


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=60)
@given(objects=_OBJECTS, indent=st.sampled_from([None, 1]))
def test_arrays_and_objects_are_cut_where_json_says(objects: list[Any], indent: int | None, scratch: Path) -> None:
    """An array, pretty-printed objects one after another, and one object a line hold the same records, at any block size."""
    (scratch / "array").write_text(json.dumps(objects, indent=indent, ensure_ascii=False), "utf-8")
    (scratch / "pretty").write_text("\n".join(json.dumps(o, indent=2, ensure_ascii=False) for o in objects), "utf-8")
    (scratch / "lines").write_text("\n".join(json.dumps(o, ensure_ascii=False) for o in objects), "utf-8")
    assert _values(scratch / "array") == _values(scratch / "lines") == objects
    if all(objects):  # an empty object is one line, however it is printed
        assert _values(scratch / "pretty") == objects


_ODD = st.sampled_from(
    ["7", "null", "[{}]", "[1, [2]]", '"}, {"', "{} {}", '{"id": NaN}', '{"id": 1', "}", "", '{"data": [{"id": 1}, {"id": 2}]}']
)
_PARTS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 99), _JSON).map(lambda two: {"id": two[0], "x": two[1], "calls": [{"id": 1}, {"id": 2}]}),
        st.dictionaries(st.sampled_from(["id", "other", '"}, {"id"']), _JSON, max_size=3),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200)
@given(objects=_PARTS, odd=_ODD, at=st.integers(0, 12), block=st.integers(7, 900), indent=st.sampled_from([None, 1]), is_odd=st.booleans())
def test_many_objects_at_once_are_those_one_by_one(
    objects: list[Any], odd: str, at: int, block: int, indent: int | None, is_odd: bool, scratch: Path
) -> None:
    """Of an array with anything in it, however its blocks fall, what is taken many at once is cut, numbered and refused as one by one."""
    written = [json.dumps(o, indent=indent) for o in objects]
    if is_odd:
        written.insert(at, odd)
    (scratch / "array").write_text("[" + ",\n".join(written) + "]", "utf-8")

    def found() -> list[Any]:
        return [(f.line, raw_text(f.raw) if not isinstance(f.raw, dict) else f.raw, f.value, f.problem) for f in records(scratch / "array")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        fast = found()
        patch.setattr(records_module, "whole", lambda buffer, start: (0, 0))
        assert fast == found()


@settings(max_examples=300)
@given(text=st.text('ab",\r\n;é', max_size=60), end=st.sampled_from(["", "\n", "\r\n"]), together=st.integers(1, 30))
def test_rows_are_those_of_the_whole_table(text: str, end: str, together: int, scratch: Path) -> None:
    """Whatever stands in a table, stray quotes and empty lines included, rows opened in parts are those that csv reads of it whole."""
    whole = f"a,b\n{text}{end}"
    (scratch / "table").write_bytes(whole.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.traffic.csv_rows._TOGETHER", together)
        found = list(records(scratch / "table"))
    expected = list(enumerate(csv.reader(io.StringIO(whole, newline="")), 0))[1:]
    assert [f.line for f in found] == [number for number, cells in expected if cells]
    is_open = sum(1 for _ in csv.reader(io.StringIO(whole + "\nq,r", newline=""))) == len(expected) + 1  # what follows is of its last cell
    values = [dict(zip("ab", c, strict=True)) if len(c) == 2 else None for _, c in expected if c]
    assert [f.value for f in found] == [*values[: len(values) - is_open], *[None] * is_open]
    if all(cells for _, cells in expected):
        assert "a,b\n" + "".join(str(f.raw) for f in found) == whole


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": 2}\n', '[{"a": 1}, {"a": 2}]', "a\n1\n2\n"])
@pytest.mark.parametrize("how", ["plain", "gzip", "two gzips", "zstd", "two zstds", "bom"])
def test_compression_and_byte_order_marks_change_nothing(text: str, how: str, tmp_path: Path) -> None:
    """Plain, gzip, concatenated gzip and zstd files, recognised by content, hold the same records."""
    data, path = text.encode(), tmp_path / "log"
    half = data.index(b"2") - 1
    packed = {
        "plain": data,
        "gzip": gzip.compress(data),
        "two gzips": gzip.compress(data[:half]) + gzip.compress(data[half:]),
        "zstd": pa.compress(data, "zstd", asbytes=True),
        "two zstds": pa.compress(data[:half], "zstd", asbytes=True) + pa.compress(data[half:], "zstd", asbytes=True),
        "bom": b"\xef\xbb\xbf" + data,
    }
    path.write_bytes(packed[how])
    assert [str(v["a"]) for v in _values(path)] == ["1", "2"]


def test_a_compressed_log_weighs_more_than_its_file(tmp_path: Path) -> None:
    """What is worth several processes is told by the text that a file holds, about: packed or not."""
    lines = b'{"a": 1, "b": "some words of some length"}\n' * 2_000
    (tmp_path / "plain").write_bytes(lines)
    assert text_bytes(tmp_path / "plain") == len(lines)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "log.parquet")
    (tmp_path / "packed").write_bytes(gzip.compress(lines))
    for name in ("log.parquet", "packed"):
        assert text_bytes(tmp_path / name) > 2 * (tmp_path / name).stat().st_size


def test_a_part_of_a_parquet_file_hangs_on_nothing_but_itself(tmp_path: Path) -> None:
    """Words stand in their rows, not in a dictionary of all, times in µs; what only pandas could write is opened here."""
    when = np.array(["2026-11-03T09:00:00.000001", "2026-11-03T09:00:01"] * 1_500, "datetime64[ns]")
    words = pa.array([f"word {i}" for i in range(3_000)])
    pq.write_table(pa.table({"word": words.dictionary_encode(), "when": when}), tmp_path / "plain.parquet")
    pq.write_table(pa.table({"word": words, "when": when + np.timedelta64(1, "ns")}), tmp_path / "fine.parquet")
    given = list(parts(tmp_path / "plain.parquet"))
    assert [part.rows.schema.types for part in given if isinstance(part, Batch)] == [[pa.string(), pa.timestamp("us")]] * 2
    assert [f.value for f in records(tmp_path / "plain.parquet")] == [
        {"word": f"word {i}", "when": at} for i, at in enumerate(when.astype("datetime64[us]").tolist())
    ]
    assert all(isinstance(part, Found) for part in parts(tmp_path / "fine.parquet"))
    assert len(_values(tmp_path / "fine.parquet")) == 3_000


def test_a_page_nested_too_deeply_is_set_aside(tmp_path: Path) -> None:
    """A record of a page that cannot be written again is set aside with its place, and nothing else is lost."""
    deep = b"[" * 1_000 + b"]" * 1_000
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"data": [{"id": "a", "deep": ' + deep + b"}]}\n" + b'{"id": "b", "ts": 1762160400, "model": "m"}\n')
    mapping = {"request_id": "id", "timestamp": "ts", "model": "model"}
    traffic = read(path, "table", mapping=mapping, out=tmp_path / "out", text=True)
    assert (traffic.meta["accepted"], traffic.meta["quarantined"]) == (1, 1)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_cut_gzip_keeps_what_can_be_read_and_says_so(kind: str, tmp_path: Path) -> None:
    """The rows before the cut are records; the cut itself is one more, with the reason."""
    noise = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(5_000)]
    texts = {"json": "".join(json.dumps({"a": n}) + "\n" for n in noise), "csv": "a\n" + "".join(f"{n}\n" for n in noise)}
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(texts[kind].encode())[:-5_000])
    *whole, last = records(path)
    assert [f.value for f in whole] == [{"a": n} for n in noise[: len(whole)]]
    assert len(whole) > 4_000
    assert last.value is None
    text = sum(len(raw_text(f.raw)) + (kind == "json") for f in whole) + 2 * (kind == "csv") + len(raw_text(last.raw))
    assert last.problem.startswith(f"the compressed file ends early or is damaged, after {text:,} bytes of text")


@pytest.mark.parametrize("packed", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
@pytest.mark.parametrize("text", ['{"a": 1}\n', "a\n1\n", "[]"])
def test_a_compressed_file_of_which_nothing_is_left_is_no_empty_one(packed: Any, text: str, tmp_path: Path) -> None:
    """Where the cut leaves nothing that can be decompressed, that is one record with the reason, and the file is called damaged."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(packed(text.encode() * 50)[:10])
    (found,) = records(path)
    assert (found.value, raw_text(found.raw)) == (None, "")
    with pytest.raises(InputError, match=r"log\.jsonl: the compressed file ends early or is damaged, after 0 bytes .*Copy it again"):
        read(path, out=tmp_path / "out", text=True)


_CUT_ROWS = {"a row": "4,5", "a last cell": '4,5,"6', "a last cell of lines": '4,5,"6\n'}


@pytest.mark.parametrize("cut", [*_CUT_ROWS, "between rows"])
def test_a_cut_csv_is_said_to_be_cut(cut: str, tmp_path: Path) -> None:
    """A last row that ends before its last column, or within it, says so; a compressed file cut between two has one more."""
    path = tmp_path / "log.csv"
    if cut in _CUT_ROWS:
        path.write_text(f"a,b,c\n1,2,3\n{_CUT_ROWS[cut]}", "utf-8")
    else:
        packer = zlib.compressobj(wbits=31)
        path.write_bytes(packer.compress(b"a,b,c\n1,2,3\n") + packer.flush(zlib.Z_FULL_FLUSH))
    first, last = records(path)
    assert first.value == {"a": "1", "b": "2", "c": "3"}
    expected = {
        "a row": "2 cells in a table of 3 columns: the file ends inside this record, after 15 bytes",
        "a last cell": "a cell that does not end: the file ends inside this record, after 18 bytes",
        "a last cell of lines": "a cell that does not end: the file ends inside this record, after 19 bytes",
        "between rows": "the compressed file ends early or is damaged, after 12 bytes of text",
    }
    assert last.problem.startswith(expected[cut])


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ('{"a": {"b": 2}', "not JSON: the file ends inside this record, after 23 bytes"),
        ('{"a": oops}', "not JSON: unexpected character"),
        ("oops", "not JSON: unexpected character"),
    ],
)
def test_lines_that_end_inside_a_record_say_so(end: str, problem: str, tmp_path: Path) -> None:
    """A last line of which the end is missing is told from one that is whole and wrong."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n' + end, "utf-8")
    assert list(records(path))[-1].problem.startswith(problem)


def test_broken_lines_are_kept_whole(tmp_path: Path) -> None:
    """What is no JSON object is a record with its bytes and a reason, at its line; blank lines are none."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": \n[1, 2]\n"x"\n{"a": "\xff"}\n{"a": NaN}')
    found = [(f.line, raw_text(f.raw), f.value, f.problem.split(":")[0]) for f in records(path)]
    assert found == [
        (1, '{"a": 1}', {"a": 1}, ""),
        (3, '{"a": ', None, "not JSON"),
        (4, "[1, 2]", None, "a JSON list, not an object"),
        (5, '"x"', None, "a JSON str, not an object"),
        (6, '{"a": "\\xff"}', None, "not JSON"),
        (7, '{"a": NaN}', {"a": None}, ""),
    ]


def test_a_broken_object_in_an_array_costs_only_itself(tmp_path: Path) -> None:
    """Brackets are counted, so the records after a broken one are still found; a cut end is one record."""
    path = tmp_path / "log.json"
    path.write_text('[{"a": 1}, {"a": oops}, {"a": {"b": "}]"}}, {"a": 4', "utf-8")
    found = [(f.line, raw_text(f.raw).strip(" ,"), f.value is None) for f in records(path)]
    assert found == [(1, '{"a": 1}', False), (2, '{"a": oops}', True), (3, '{"a": {"b": "}]"}}', False), (4, '{"a": 4', True)]


@settings(max_examples=60)
@given(rows=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), min_size=1, max_size=5))
def test_csv_cells_may_hold_anything(rows: list[list[str]], scratch: Path) -> None:
    """Quotes, commas and line ends inside cells come back as they were, and the raw text of each row is exact."""
    path = scratch / "log.csv"
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    path.write_text(text.getvalue(), "utf-8", newline="")
    found = list(records(path))
    assert [list((f.value or {}).values()) for f in found] == rows
    assert '"a","b"\r\n' + "".join(raw_text(f.raw) for f in found) == text.getvalue()


def test_csv_cells_may_be_longer_than_pythons_limit(tmp_path: Path) -> None:
    """A stored conversation of a megabyte in one cell is read; Python's default limit is 128 kB, and stays as it was."""
    before = csv.field_size_limit()
    path = tmp_path / "log.csv"
    path.write_text(f"a,b\n1,{'x' * 1_000_000}\n", "utf-8")
    assert len(_values(path)[0]["b"]) == 1_000_000
    assert csv.field_size_limit() == before


def test_csv_rows_of_the_wrong_length_or_encoding_are_set_aside(tmp_path: Path) -> None:
    """A row with other than the header's number of cells, or that is not UTF-8, is a record with the reason."""
    path = tmp_path / "log.csv"
    path.write_bytes(b"a,b\n1\n2,3\n\xff,4\n")
    found = [(f.line, raw_text(f.raw), f.problem) for f in records(path)]
    assert found == [(1, "1\n", "1 cells in a table of 2 columns"), (2, "2,3\n", ""), (3, "\\xff,4\n", "not UTF-8")]


def test_parquet_rows_are_records(tmp_path: Path) -> None:
    """A Parquet file gives its rows, and shows them as JSON when they are set aside."""
    pq.write_table(pa.table({"a": [1, 2], "b": [["x"], None]}), tmp_path / "t.parquet")
    found = list(records(tmp_path / "t.parquet"))
    assert [f.value for f in found] == [{"a": 1, "b": ["x"]}, {"a": 2, "b": None}]
    assert raw_text(found[0].raw) == '{"a": 1, "b": ["x"]}'


def test_other_encodings_and_damaged_parquet_are_refused(tmp_path: Path) -> None:
    """UTF-16 text and a cut Parquet file are refused in one sentence each."""
    (tmp_path / "wide.csv").write_text("a,b\n1,2\n", "utf-16")
    with pytest.raises(InputError, match=r"UTF-16 text; expected UTF-8\. Save it as UTF-8"):
        list(records(tmp_path / "wide.csv"))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + b"\0" * 50)
    with pytest.raises(InputError, match="a damaged Parquet file"):
        list(records(tmp_path / "cut.parquet"))
