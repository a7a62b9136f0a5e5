"""Zips: the weights inside a bundle, and a bundle packed as one; nothing in them is unpacked that should not be."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import time
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import array, members, replace_file, zipped

from planner.errors import BundleError, InputError
from planner.router import Router
from planner.router.files import MOST_BYTES, unzipped
from planner.router.load import MANIFEST, WEIGHTS, read_manifest
from planner.router.weights import unpacked

_CENTRAL = b"PK\x01\x02"


def refused(path: Path, sentence: str) -> None:
    """Check that ``path`` is refused in one sentence."""
    with pytest.raises(BundleError, match=sentence) as caught:
        Router.load(path)
    assert "\n" not in str(caught.value)


def never_opened(monkeypatch) -> None:
    """Fail when a member of a zip is opened."""
    monkeypatch.setattr(ZipFile, "open", lambda self, name, *_, **__: pytest.fail(f"{name} was opened"))


NAMES = ["/etc/passwd.npy", "../weights.npy", "a/weights.npy", "a\\weights.npy", "C:weights.npy", ".weights.npy", "", "a\nb.npy", "x" * 200]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_out_are_refused(copy, monkeypatch, name):
    """A member of the weights with a path, a drive, a hidden or a strange name is refused before any is opened."""
    content = zipped({**members(copy), name: b"x"})
    replace_file(copy, WEIGHTS, content)
    never_opened(monkeypatch)
    refused(copy, "which is no plain file name|more than once")


def test_a_name_that_goes_on_after_a_zero_is_refused(copy):
    """A name that zipfile would cut at a zero byte is refused."""
    content = zipped({**members(copy), "idfx.npy": b"x"}).replace(b"idfx.npy", b"idf.npy\0")
    replace_file(copy, WEIGHTS, content)
    refused(copy, "which is no plain file name")


def test_a_member_twice_is_refused(copy, monkeypatch):
    """Weights with one name twice are refused: which of both is read is nobody's choice."""
    out = io.BytesIO(zipped(members(copy)))
    with warnings.catch_warnings(), ZipFile(out, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(ZipInfo("idf.npy"), b"x")
    replace_file(copy, WEIGHTS, out.getvalue())
    never_opened(monkeypatch)
    refused(copy, "holds 'idf.npy' more than once")


@pytest.mark.parametrize("method", [ZIP_DEFLATED, ZIP_BZIP2])
def test_compressed_weights_are_refused(copy, monkeypatch, method):
    """Weights are not compressed, so that a gigabyte of zeros behind a kilobyte is refused before it is opened."""
    content = zipped({**members(copy), "bomb.npy": b"\0" * (64 << 20)}, method)
    assert len(content) < 1 << 20
    replace_file(copy, WEIGHTS, content)
    never_opened(monkeypatch)
    refused(copy, "compressed in a way that is not used here")


def patched(content: bytes, name: str, at: int, form: str, value: int) -> bytes:
    """Return a zip with one number changed in its list of members."""
    out = bytearray(content)
    place = next(i for i in range(len(out)) if out[i : i + 4] == _CENTRAL and out[i + 46 : i + 46 + len(name)] == name.encode())
    struct.pack_into(form, out, place + at, value)
    return bytes(out)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (((24, "<L", MOST_BYTES + 1),), "more than 64 members or 268,435,456 bytes"),
        (((20, "<L", 1 << 31), (24, "<L", 1 << 31)), "more than 64 members or 268,435,456 bytes"),
        (((24, "<L", 7),), "in two sizes"),
        (((20, "<L", 100_000), (24, "<L", 100_000)), "cannot be read|cut short"),
        (((20, "<L", 7), (24, "<L", 7)), "cannot be read"),
        (((16, "<L", 7),), "cannot be read .BadZipFile"),
        (((42, "<L", 7),), "cannot be read"),
        (((42, "<L", 0xFFFFFF00),), "cannot be read"),
        (((8, "<H", 1),), "encrypted, or compressed"),
        (((10, "<H", 99),), "encrypted, or compressed|cannot be read"),
    ],
)
def test_members_that_are_not_what_is_listed_are_refused(copy, changes, sentence):
    """A member listed with another size, checksum, place, method or flag is refused, and nothing large is made of it."""
    content = zipped(members(copy))
    for at, form, value in changes:
        content = patched(content, "idf.npy", at, form, value)
    replace_file(copy, WEIGHTS, content)
    tracemalloc.start()
    refused(copy, sentence)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_many_members_are_refused(copy, monkeypatch):
    """Weights of thousands of members are refused by the length of their list, those of a hundred by their number."""
    for n, sentence in ((20_000, "lists more than 64 members"), (100, "more than 64 members or")):
        replace_file(copy, WEIGHTS, zipped({f"a{i}.npy": b"" for i in range(n)}))
        never_opened(monkeypatch)
        refused(copy, sentence)
        monkeypatch.undo()


def test_what_is_around_a_zip_is_refused(copy):
    """Weights with something before, between the list and the end, or after it, a comment, or the end of a large zip, are refused."""
    whole = zipped(members(copy))
    wide = whole[:-22] + b"PK\x06\x07" + b"\0" * 16 + whole[-22:]
    comment = whole[:-2] + b"\3\0abc"
    for content in (b"#!/bin/sh\n" + whole, whole + b"x", wide, comment, whole[:-22] + b"x" + whole[-22:], whole[:-22], b"", b"PK\x05\x06"):
        replace_file(copy, WEIGHTS, content)
        refused(copy, "no plain zip from its first byte to its last")


@given(st.floats(0, 1, exclude_max=True), st.booleans(), st.integers(1, 255))
def test_broken_weights_are_refused(made_bundle, tmp_path_factory, where, cut, change):
    """Weights cut anywhere are refused although every hash fits; with any byte changed they are refused, or the same numbers."""
    copy = Path(shutil.copytree(made_bundle, tmp_path_factory.mktemp("zip") / "copy"))
    content = bytearray((copy / WEIGHTS).read_bytes())
    place = int(where * len(content))
    if cut:
        del content[place:]
    else:
        content[place] ^= change
    replace_file(copy, WEIGHTS, bytes(content))
    with suppress(BundleError):
        assert Router.load(copy).version == Router.load(made_bundle).version  # a date or a flag that nothing reads
        assert not cut
    shutil.rmtree(copy)


class Evil:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self):
        """Say what runs."""
        return (Path.touch, (Path("unpickled"),))


def header(text: str) -> bytes:
    """Return the beginning of a .npy file."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin-1")


ROW = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (array(np.array([Evil()]), allow_pickle=True), "not plain numbers"),
        (pickle.dumps(Evil()), "magic string"),
        (array(np.zeros(3, [("a", "<f4")])), "not plain numbers"),
        (array(np.zeros(3, bool)), "not plain numbers"),
        (array(np.zeros(3, "<U4")), "not plain numbers"),
        (array(np.zeros(3, "<c8")), "not plain numbers"),
        (array(np.zeros(3, "<f4"), version=(2, 0)), "no array"),
        (array(np.zeros(3, "<f4"))[:-1], "not as long as they say"),
        (array(np.zeros(3, "<f4")) + b"x", "not as long as they say"),
        (header(ROW % "10**12,"), "cannot be built"),
        (header(ROW % "1000000000000,") + b"1234", "not as long as they say"),
        (header(ROW % "4294967296, 4294967296") + b"", "not as long as they say"),
        (header(ROW % "-1, -1") + b"1234", "not as long as they say"),
        (header(ROW % "-1,") + b"1234", "not as long as they say"),
        (header(ROW % "True,") + b"1234", "cannot be built"),
        (header("{" * 60_000), "cannot be built"),
        (header("__import__('os').mkdir('run')\n"), "cannot be built"),
        (header("\xff" * 50), "cannot be built"),
        (b"\x93NUMPY\x01\x00\xff\xff{}", "cannot be built"),
        (b"", "cannot be built"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(copy, tmp_path, monkeypatch, content, sentence):
    """Objects, other kinds, headers that claim more or less than follows, and garbage are refused; nothing runs, nothing large is made."""
    monkeypatch.chdir(tmp_path)
    replace_file(copy, WEIGHTS, zipped({**members(copy), "idf.npy": content}))
    tracemalloc.start()
    refused(copy, sentence)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]


def test_weights_of_too_many_buckets_are_refused():
    """Settings whose weights would fill memory are refused before any is made."""
    k = 2_000
    kind = {"kind": "linear", "features": {"token_bits": 20, "template_bits": 20, "app_bits": 20}, "block": [1.0, 1.0, 1.0]}
    shapes = {"idf": (1,), "weights": (1, k), "structure_mean": (24,), "structure_scale": (24,)}
    shapes |= {"structure_weights": (24, k), "intercept": (k,)}
    arrays = {f"{name}.npy": array(np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match="too many for 2000 columns"):
        unpacked(zipped({**arrays, "buckets.npy": array(np.zeros(1, np.int32))}), kind, k)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_bundle_as_one_zip(made_bundle, tmp_path, monkeypatch, method):
    """The files packed as one .zip are the same router, read without a file being written."""
    packed = tmp_path / "router.zip"
    packed.write_bytes(zipped({p.name: p.read_bytes() for p in made_bundle.iterdir()}, method))
    monkeypatch.setattr(Path, "write_bytes", lambda path, _: pytest.fail(f"{path} was written"))
    read, whole = Router.load(packed), Router.load(made_bundle)
    assert (read.version, read_manifest(packed)) == (whole.version, read_manifest(made_bundle))
    assert read.decide("prove", {"app": "maths"}) == whole.decide("prove", {"app": "maths"})
    assert [p.name for p in tmp_path.iterdir()] == ["router.zip"]


def test_zips_that_people_make(made_bundle, tmp_path):
    """What ``python -m zipfile -c`` and shutil make of the files is read; a folder inside the zip is refused."""
    names = [str(p) for p in sorted(made_bundle.iterdir())]
    zipfile.main(["-c", str(tmp_path / "a.zip"), *names])
    shutil.make_archive(str(tmp_path / "b"), "zip", made_bundle)
    assert Router.load(tmp_path / "a.zip").version == Router.load(tmp_path / "b.zip").version == Router.load(made_bundle).version
    shutil.make_archive(str(tmp_path / "c"), "zip", made_bundle.parent, made_bundle.name)
    refused(tmp_path / "c.zip", "'router/', which is no plain file name; expected a bundle's folder, or its files alone as one .zip")


def test_a_packed_bundle_is_refused_for_the_same_reasons(made_bundle, tmp_path, monkeypatch):
    """A changed, missing or extra file, a way out, a bomb, or a cut zip are refused as in a folder."""
    files = {p.name: p.read_bytes() for p in made_bundle.iterdir()}
    packed = tmp_path / "router.zip"
    card = files["model_card.md"]
    for change, sentence in (
        ({"model_card.md": card + b" "}, "model_card.md was changed"),
        ({"extra": b""}, r"not listed \['extra'\]"),
        ({"../extra": b""}, "no plain file name"),
        ({"/etc/cron.d/x": b""}, "no plain file name"),
        ({"bomb": b"\0" * (MOST_BYTES >> 1), "bomb2": b"\0" * (MOST_BYTES >> 1)}, "more than 64 members or 268,435,456 bytes"),
    ):
        packed.write_bytes(zipped({**files, **change}, ZIP_DEFLATED))
        refused(packed, sentence)
    packed.write_bytes(zipped({n: c for n, c in files.items() if n != MANIFEST}))
    refused(packed, "readable manifest.json")
    packed.write_bytes(zipped({n: c for n, c in files.items() if n != "plan.json"}))
    refused(packed, r"missing \['plan.json'\]")
    whole = zipped(files, ZIP_DEFLATED)
    for size in range(0, len(whole), len(whole) // 40):
        packed.write_bytes(whole[:size])
        refused(packed, "no plain zip")
    with packed.open("wb") as sparse:
        sparse.truncate(1 << 40)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    refused(packed, "expected at most 64 files, 268,435,456 bytes")


def test_a_member_that_yields_more_than_it_says(made_bundle):
    """A deflated member that lists ten bytes and holds a hundred million is given up at once."""
    out = bytearray(zipped({"a": b"\0" * 100_000_000}, ZIP_DEFLATED))
    for mark, at in ((b"PK\x03\x04", 22), (_CENTRAL, 24)):
        struct.pack_into("<L", out, out.index(mark) + at, 10)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"cannot be read .BadZipFile"):
        unzipped(bytes(out), (ZIP_DEFLATED,))
    assert time.perf_counter() - start < 5
    assert tracemalloc.get_traced_memory()[1] < 5 << 20
    tracemalloc.stop()


def test_the_folder_of_a_gateway(made_bundle, tmp_path):
    """The folder that a gateway runs loads the bundle in it; other files beside it do not matter, inside it they do."""
    shutil.copytree(made_bundle, tmp_path / "production" / "bundle")
    (tmp_path / "production" / "config.yaml").write_text("x: 1")
    assert Router.load(tmp_path / "production").version == Router.load(made_bundle).version
    (tmp_path / "production" / "bundle" / "x").touch()
    refused(tmp_path / "production", r"not listed \['x'\]")


def test_nothing_but_a_bundle_is_replaced(made_bundle, made_training, tmp_path):
    """Export replaces neither the folder of a gateway nor a packed bundle, although both can be loaded."""
    from planner.bundle import export

    shutil.copytree(made_bundle, tmp_path / "production" / "bundle")
    (tmp_path / "router.zip").write_bytes(zipped({p.name: p.read_bytes() for p in made_bundle.iterdir()}))
    for taken in ("production", "router.zip"):
        assert Router.load(tmp_path / taken)
        with pytest.raises(InputError, match="something other than a bundle"):
            export(made_training.router, tmp_path / taken)
    assert json.loads((tmp_path / "production" / "bundle" / MANIFEST).read_bytes())
