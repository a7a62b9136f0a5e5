"""Loading a bundle: whatever is not as it was written is refused, in one sentence."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bundles import array, members, replace_file, resign, zipped

from planner.bundle.vectors import made_up
from planner.errors import BundleError
from planner.router import REASONS, Router, files
from planner.router import load as loading
from planner.router.load import MANIFEST, VECTORS, WEIGHTS
from planner.router.settings import canonical

FILES = (MANIFEST, WEIGHTS, VECTORS, "model_card.md", "plan.json")
#: [bytes] up to which every byte of a file is changed; of a larger one so many, and its ends.
SMALL, SAMPLED, ENDS = 16_384, 300, 64


def refused(path: Path, sentence: str = ".") -> str:
    """Return the sentence with which ``path`` is refused."""
    with pytest.raises(BundleError, match=sentence) as caught:
        Router.load(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_any_changed_byte_is_refused(made_bundle, monkeypatch, name):
    """Every byte of a small file and hundreds of a large one are changed in turn; each change is refused, in one sentence."""
    whole = files.contents(made_bundle)
    size, rng = len(whole[name]), np.random.default_rng(5)
    places = range(size) if size <= SMALL else {*rng.integers(0, size, SAMPLED).tolist(), *range(ENDS), *range(size - ENDS, size)}
    assert size > SMALL or name not in (WEIGHTS, VECTORS)
    changed = dict(whole)
    monkeypatch.setattr(loading, "contents", lambda path: dict(changed))
    assert Router.load(made_bundle)
    for place, change in zip(places, rng.integers(1, 256, len(places)).tolist(), strict=True):
        content = bytearray(whole[name])
        content[place] ^= change
        changed[name] = bytes(content)
        refused(made_bundle)


@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_any_changed_byte_on_disk_is_refused(made_bundle, tmp_path_factory, name, where, change):
    """Whichever byte of whichever file changes on disk, the bundle is refused."""
    copy = Path(shutil.copytree(made_bundle, tmp_path_factory.mktemp("damage") / "copy"))
    content = bytearray((copy / name).read_bytes())
    content[int(where * len(content))] ^= change
    (copy / name).write_bytes(content)
    refused(copy)
    shutil.rmtree(copy)


@pytest.mark.parametrize("name", FILES)
def test_missing_files_are_refused(copy, name):
    """Without any one of its files the bundle is refused."""
    (copy / name).unlink()
    refused(copy, r"readable manifest|missing")


@pytest.mark.parametrize("name", FILES)
def test_cut_and_longer_files_are_refused(copy, name):
    """A file cut short, emptied, or with something after its end is refused."""
    whole = (copy / name).read_bytes()
    for content in (whole[:0], whole[:20], whole[:-1], whole + b"\n", whole + b"\0"):
        (copy / name).write_bytes(content)
        refused(copy, r"changed|readable")


@pytest.mark.parametrize("name", ["extra.txt", ".DS_Store", "weights.npz.tmp", "extra"])
def test_extra_files_are_refused(copy, name):
    """A file that the manifest does not list is refused by name, hidden or not."""
    (copy / name).write_text("x")
    refused(copy, rf"not listed \['{re.escape(name)}'\]")


def test_what_is_no_plain_file_is_refused(copy, tmp_path):
    """A subfolder, a link even to the same bytes, a link to nothing and a pipe are refused, the latter without waiting for it."""
    for make in (Path.mkdir, lambda p: p.symlink_to(tmp_path), lambda p: p.symlink_to(tmp_path / "nothing"), os.mkfifo):
        make(copy / "extra")
        refused(copy, "extra; expected nothing but plain files")
        (copy / "extra").rmdir() if (copy / "extra").is_dir() and not (copy / "extra").is_symlink() else (copy / "extra").unlink()
    for name in (WEIGHTS, MANIFEST):
        shutil.move(copy / name, tmp_path / "elsewhere")
        (copy / name).symlink_to(tmp_path / "elsewhere")
        refused(copy, f"{re.escape(name)}; expected nothing but plain files")
        (copy / name).unlink()
        os.mkfifo(copy / name)
        refused(copy, f"{re.escape(name)}; expected nothing but plain files")
        (copy / name).unlink()
        shutil.move(tmp_path / "elsewhere", copy / name)
    assert Router.load(copy)


def test_too_much_is_refused_unread(copy, monkeypatch):
    """A file of a terabyte, or hundreds of files, are refused before any is read."""
    with (copy / "model_card.md").open("r+b") as sparse:
        sparse.truncate(1 << 40)
    refused(copy, r"1,099,\d{3},\d{3},\d{3} bytes; expected at most 64 files, 268,435,456 bytes")
    with (copy / "model_card.md").open("r+b") as sparse:
        sparse.truncate(10)
    for number in range(100):
        (copy / f"f{number}").touch()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    refused(copy, "105 files")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", "..", "", "manifest.json", ".hidden", "a\\b", "a\0b", "x" * 200])
def test_paths_out_of_the_folder_are_refused(copy, name):
    """A manifest that lists anything but plain names inside the folder is refused, whatever its digest."""
    resign(copy, lambda m: m["files"].update({name: "0" * 64}))
    refused(copy, "plain file names inside the bundle")


@pytest.mark.parametrize("listed", [{}, [], None, {WEIGHTS: "0"}, {WEIGHTS: 0, VECTORS: 0}])
def test_a_manifest_without_its_files_is_refused(copy, listed):
    """A manifest that lists no weights or vectors, or whose list is no list, is refused."""
    resign(copy, lambda m: m.update(files=listed))
    refused(copy, "both among its files|missing")


def test_a_newer_or_older_format_is_refused(copy):
    """A bundle of a newer format says that planner must be upgraded, one of an older format that it must be made again."""
    for version in (4, 10**6):
        resign(copy, lambda m, version=version: m.update(version=version))
        refused(copy, rf"bundle version {version}; expected at most 3.*upgrade")
    resign(copy, lambda m: m.update(version=2))
    refused(copy, r"bundle version 2; expected 3. Make it again")
    for version in ("3", 3.0, True, None, 0, -1):
        resign(copy, lambda m, version=version: m.update(version=version))
        refused(copy, "expected a planner.bundle file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"7",
        b"\xff",
        b"[" * 100_000,
        b'{"a": ' * 2_000 + b"1" + b"}" * 2_000,
        b'{"a": ' + b"1" * 5_000 + b"}",
        b'{"format": "planner.plan", "version": 1}',
    ],
)
def test_something_else_is_refused(tmp_path, content):
    """A folder with any other manifest, or none, is refused."""
    refused(tmp_path, "a bundle with a readable")
    (tmp_path / MANIFEST).write_bytes(content)
    refused(tmp_path, "manifest")
    refused(tmp_path / MANIFEST, "no plain zip")
    refused(tmp_path / "nothing", "a bundle with a readable")


def test_json_that_means_the_same_is_refused(copy):
    """A manifest with other blanks, another order or a key twice is refused, although it means the same."""
    whole = (copy / MANIFEST).read_bytes()
    values = json.loads(whole)
    twice = whole.replace(b'"planner":', b'"planner": "0",\n "planner":', 1)
    backwards = json.dumps(dict(reversed(values.items())), indent=1).encode() + b"\n"
    for content in (json.dumps(values, sort_keys=True).encode(), backwards, twice):
        (copy / MANIFEST).write_bytes(content)
        refused(copy, "manifest.json was changed after it was written")


def test_a_test_vector_decided_otherwise_is_refused(copy):
    """When the runtime decides a stored request otherwise, or scores it differently, the bundle is refused."""
    vectors = json.loads((copy / VECTORS).read_bytes())["vectors"]
    assert len({v["model"] for v in vectors}) > 1
    gains = vectors[20]["gains"]
    near = [*gains[:1], repr(float(gains[1]) + 2e-6), *gains[2:]]
    for number, change in ((0, {"model": "nobody"}), (0, {"gains": ["0.0", "0.5", "0.5"]}), (20, {"gains": near})):
        changed = [*vectors[:number], {**vectors[number], **change}, *vectors[number + 1 :]]
        replace_file(copy, VECTORS, canonical({"vectors": changed}))
        refused(copy, f"test vector {number} is decided otherwise here")


@pytest.mark.parametrize(
    "vectors",
    [[], None, {}, 7, ["x"], [{}], [{"messages": "x", "metadata": {}, "at": 7, "model": "large", "gains": ["0", "0", "0"]}], [[]] * 3],
)
def test_vectors_that_prove_nothing_are_refused(copy, vectors):
    """A file of test vectors without any, or with something else in it, is refused."""
    replace_file(copy, VECTORS, canonical({"vectors": vectors}))
    refused(copy, "the router cannot be built|decided otherwise")
    replace_file(copy, VECTORS, b"[" * 50_000)
    refused(copy, "the router cannot be built")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a: a["weights"].__setitem__((0, 1), np.nan), "'weights' hold what is no number"),
        (lambda a: a["idf"].__setitem__(0, np.inf), "'idf' hold what is no number"),
        (lambda a: a["intercept"].__setitem__(0, -np.inf), "'intercept' hold what is no number"),
        (lambda a: a.pop("idf"), "those of this scorer buckets, idf"),
        (lambda a: a.update(more=np.zeros(3, np.float32)), "the weights are .*more"),
        (lambda a: a["weights"].__setitem__((0, 1), 9.0), "the manifest says"),
        (lambda a: a.update(weights=a["weights"].astype(np.float64)), "of kind '<f8', not plain numbers"),
        (lambda a: a.update(weights=a["weights"].astype(">f4")), "of kind '>f4'"),
        (lambda a: a.update(idf=a["idf"].astype(np.int32)), "'idf' are int32"),
        (lambda a: a.update(buckets=a["buckets"].astype(np.float32)), "'buckets' are float32"),
        (lambda a: a.update(buckets=a["buckets"] + 2**30), "buckets that are not ascending below"),
        (lambda a: a.update(buckets=a["buckets"] - a["buckets"][0] - 1), "buckets that are not ascending below"),
        (lambda a: a.update(buckets=a["buckets"][::-1]), "buckets that are not ascending below"),
        (lambda a: a.update(buckets=np.full_like(a["buckets"], 5)), "buckets that are not ascending below"),
        (lambda a: a.update(intercept=a["intercept"][:1]), r"'intercept' are float32 of shape \(1,\)"),
        (lambda a: a.update(intercept=a["intercept"][0]), r"'intercept' are float32 of shape \(\)"),
        (lambda a: a.update(structure_mean=a["structure_mean"][:1]), "'structure_mean' are float32 of shape"),
        (lambda a: a.update(weights=a["weights"][:-1]), "'weights' are float32 of shape"),
        (lambda a: a.update(weights=np.asfortranarray(a["weights"])), "not plain numbers"),
        (lambda a: a.update(link_centre=a["link_centre"][:1]), "a link to more than its 1 levels"),
        (lambda a: a.update(link_coef=a["link_coef"][:, :2]), "'link_coef' are float32 of shape"),
    ],
)
def test_wrong_weights_are_refused(copy, change, sentence):
    """Weights that are no numbers, of another kind, shape or order, too few or too many are refused, whatever their hash."""
    with np.load(copy / WEIGHTS) as stored:
        arrays = dict(stored)
    change(arrays)
    replace_file(copy, WEIGHTS, zipped({f"{name}.npy": array(a) for name, a in arrays.items()}))
    refused(copy, sentence)


def leaves(value, path=()):
    """Yield the path to everything inside a JSON value."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(inner, (*path, key))


def put(value, path, new):
    """Return a JSON value with ``new`` at ``path``."""
    if not path:
        return new
    return type(value)(
        {**value, path[0]: put(value[path[0]], path[1:], new)}
        if isinstance(value, dict)
        else [*value[: path[0]], put(value[path[0]], path[1:], new), *value[path[0] + 1 :]]
    )


def test_settings_of_another_kind_are_refused_or_decide(copy, monkeypatch):
    """Whatever somebody puts into the settings of the router, versions made to fit, it is refused, or decides everything."""
    manifest = json.loads((copy / MANIFEST).read_bytes())
    settings = {**manifest["router"], "version": "fits"}
    arrays = members(copy)
    monkeypatch.setattr(Router, "version", "fits")
    replace_file(copy, WEIGHTS, zipped(arrays))
    requests, outcomes = made_up(14, ["chat", "x"]), {"tried": 0, "decides": 0}
    for path in leaves(settings):
        for new in (None, True, -1, 10**30, 1.5, float("nan"), "x", [], ["x"], {}, {"x": 1}, [[1.0, 2.0, 3.0]] * 3):
            resign(copy, lambda m, path=path, new=new: m.update(router=put(settings, path, new)))
            with suppress(BundleError):
                router = Router.load(copy)
                outcomes["decides"] += 1
                assert all(router.decide(m, d).reason in REASONS for m, d in requests)
            outcomes["tried"] += 1
    assert outcomes["tried"] > 10 * outcomes["decides"] > 0
