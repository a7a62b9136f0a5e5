"""The bytes of a bundle: a folder of plain files, or the same files packed as one .zip, which is read in memory and never extracted.

In: a path, or the bytes of a zip. Out: names and bytes. What is no plain file, leads out of the folder or is too large is refused
before it is read or unpacked. Knows nothing of what is in the files.
"""

from __future__ import annotations

import io
import re
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from planner.errors import BundleError

__all__ = ["AGAIN", "MANIFEST", "MOST_BYTES", "MOST_FILES", "PLAIN", "contents", "located", "unzipped"]

MANIFEST = "manifest.json"
#: Limits of a bundle, and of the weights in it: all bytes together, as they are once unpacked, and files.
MOST_BYTES, MOST_FILES = 256 << 20, 64
#: Names of files: no folder, no way out of one, nothing hidden.
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
AGAIN = "export the bundle again, and copy the whole folder"
#: A zip's last record, in bytes, and how it and the locator of a 64-bit one begin; the latter stands 20 bytes before it.
_END, _END_MARK, _WIDE, _WIDE_MARK = 22, b"PK\x05\x06", 20, b"PK\x06\x07"
#: Most bytes of a zip's own list of its members, for each of them.
_LISTED = 256


def located(path: Path) -> Path:
    """Return where the bundle lies: ``path`` itself, or ``path/bundle`` in a folder that a gateway runs."""
    inner = path / "bundle"
    try:
        return inner if not (path / MANIFEST).exists() and (inner / MANIFEST).exists() else path
    except OSError:  # what cannot be seen cannot be read either, and whoever reads it says so
        return path


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of every file of the bundle at ``path``; BundleError for what is not a plain file or too large, OSError else."""
    if path.is_file():
        _check_size(path, path.stat().st_size, 1)
        try:
            return unzipped(path.read_bytes(), (ZIP_STORED, ZIP_DEFLATED))
        except ValueError as error:
            raise BundleError(f"{path}: {error}", "a bundle's folder, or its files alone as one .zip", AGAIN) from error
    files = sorted(path.iterdir())
    about = [f.lstat() for f in files]
    _check_size(path, sum(a.st_size for a in about), len(files))
    for file, found in zip(files, about, strict=True):
        if not stat.S_ISREG(found.st_mode):
            raise BundleError(f"{file}", "nothing but plain files in a bundle", AGAIN)
    return {f.name: f.read_bytes() for f in files}


def _check_size(path: Path, size: int, files: int) -> None:
    if size > MOST_BYTES or files > MOST_FILES:
        raise BundleError(f"{path} of {files} files, {size:,} bytes", f"at most {MOST_FILES} files, {MOST_BYTES:,} bytes", AGAIN)


def unzipped(content: bytes, methods: Sequence[int]) -> dict[str, bytes]:
    """Return the members of a zip that are packed by one of ``methods``; ValueError for anything that a plain one does not have.

    Everything is judged by the list of members before any of them is unpacked, and none yields more than it was listed with.

    >>> out = io.BytesIO()
    >>> with ZipFile(out, "w") as archive:
    ...     archive.writestr("a.npy", b"1")
    >>> unzipped(out.getvalue(), (ZIP_STORED,))
    {'a.npy': b'1'}
    """
    end = content[-_END:]
    list_size, list_at = (int.from_bytes(end[at : at + 4], "little") for at in (12, 16))
    if end[:4] != _END_MARK or content[-_END - _WIDE :][:4] == _WIDE_MARK or list_at + list_size + _END != len(content):
        raise ValueError("this is no plain zip from its first byte to its last")
    if list_size > MOST_FILES * _LISTED:
        raise ValueError(f"the zip lists more than {MOST_FILES} members")
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check(members, methods)
            return {m.filename: _member(archive, m) for m in members}
    except ValueError:
        raise
    except Exception as error:  # zipfile answers broken input with exceptions of a dozen kinds
        raise ValueError(f"the zip cannot be read ({type(error).__name__})") from error


def _check(members: Sequence[ZipInfo], methods: Sequence[int]) -> None:
    """Judge members by what the zip lists of them."""
    names = Counter(m.orig_filename for m in members)
    if len(members) > MOST_FILES or sum(m.file_size for m in members) > MOST_BYTES:
        raise ValueError(f"the zip holds more than {MOST_FILES} members or {MOST_BYTES:,} bytes")
    for member in members:
        name = member.orig_filename
        if not PLAIN.fullmatch(name) or name != member.filename:
            raise ValueError(f"the zip holds {name[:100]!r}, which is no plain file name")
        if names[name] > 1:
            raise ValueError(f"the zip holds {name!r} more than once")
        if member.compress_type not in methods or member.flag_bits & 1:
            raise ValueError(f"the zip holds {name!r} encrypted, or compressed in a way that is not used here")
        if member.compress_type == ZIP_STORED and member.compress_size != member.file_size:
            raise ValueError(f"the zip holds {name!r} in two sizes")


def _member(archive: ZipFile, member: ZipInfo) -> bytes:
    """Unpack one member, at most one byte more than it was listed with."""
    with archive.open(member) as opened:
        content = opened.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise ValueError(f"the zip holds {member.filename!r} cut short")
    return content
