"""Files → blocks of their bytes, decompressed: plain, gzip or zstd, told apart by their first bytes, and PostgreSQL's COPY text undone.

In: an open file. Out: blocks of bounded size, in order; that the file ends early is remembered, not raised, with how much of it was text.
Knows nothing of records.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from planner.traffic.pg_copy import Halved, is_copied

__all__ = ["CUT", "DAMAGED", "Watched", "is_packed"]

#: What the problem of a record says where the rest of its file is missing: of a compressed one, and of text.
DAMAGED, CUT = "the compressed file ends early or is damaged", "the file ends inside this record"
#: What is asked of a decompressor at a time is lost when it fails; a plain file gives a block at once.
_BLOCK_BYTES, _STEP_BYTES = 4 << 20, 1 << 16


_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def is_packed(magic: bytes) -> bool:
    """Say whether a file that begins so is compressed."""
    return magic.startswith((_GZIP, _ZSTD))


def _opened(file: BinaryIO, magic: bytes) -> Any:
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)
    if magic.startswith(_ZSTD):
        return pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
    return file


class Watched:
    """Blocks of a byte stream, and their ``size`` [bytes] so far; the end of a cut-off compressed stream is remembered, not raised."""

    def __init__(self, file: BinaryIO, magic: bytes, done: Callable[[int], None] | None = None) -> None:
        stream = _opened(file, magic)
        self._step = _BLOCK_BYTES if stream is file else _STEP_BYTES
        self.take: Callable[[int], Any] = stream.read1 if isinstance(stream, gzip.GzipFile) else stream.read
        self.file, self.done = file, done
        self.head, self.problem, self.size = b"", "", 0
        self.plain: Callable[[bytes], bytes] = bytes

    def peek(self, size: int | None = None) -> bytes:
        """Return the first bytes, a block of them where no ``size`` is given; they are the first block, too."""
        self.head = self._read(_BLOCK_BYTES if size is None else size)
        if self.head[:1] in (b"{", b"[") and is_copied(self.head):
            self.plain = Halved()
            self.head = self.plain(self.head)
        return self.head

    def __iter__(self) -> Iterator[bytes]:
        block, self.head = self.head, b""
        while block:
            yield block
            if self.done:
                self.done(self.file.tell())
            block = self._read(_BLOCK_BYTES)

    def _read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0 and not self.problem:
            try:
                part = bytes(self.take(min(size, self._step)))
            except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
                self.problem = f"{DAMAGED}, after {self.size:,} bytes of text: {error}"
                break
            if not part:
                break
            parts.append(part)
            size -= len(part)
            self.size += len(part)
        return self.plain(b"".join(parts))
