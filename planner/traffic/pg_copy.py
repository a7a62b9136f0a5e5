r"""PostgreSQL's COPY text → the JSON that it holds.

In: bytes of a file of ``\copy (select row_to_json(t) …) to FILE``, in which each backslash stands twice, so that a quoted quote ends its
string and a line break in a prompt is a backslash and an n. Out: whether it is such a file, and the bytes as they were. Knows nothing of
records.
"""

from __future__ import annotations

import re

__all__ = ["Halved", "is_copied"]

_RUN = re.compile(rb"\\+")
_GOES_ON = re.compile(rb'\\\\"(?!\s*(?:[,:}\]]|$))')


def is_copied(head: bytes) -> bool:
    r"""Say whether COPY wrote the JSON of which ``head`` is the beginning.

    No backslash stands alone, and after one doubled before a quote the text goes on, where JSON would have ended its string.

    >>> is_copied(rb'{"say": "\\"hi\\""}'), is_copied(rb'{"say": "\"hi\""}'), is_copied(rb'{"folder": "C:\\"}')
    (True, False, False)
    """
    return _GOES_ON.search(head) is not None and not any(len(run[0]) % 2 for run in _RUN.finditer(head.rstrip(b"\\")))


class Halved:
    r"""Blocks of COPY's text as they were before; a pair of backslashes may be cut by the end of a block.

    >>> halved = Halved()
    >>> halved(b'{"say": "' + b"\\"), halved(b"\\" + b'"hi' + b"\\" * 2 + b'""}')
    (b'{"say": "', b'\\"hi\\""}')
    """

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, block: bytes) -> bytes:
        """Return the next block."""
        block = self._rest + block
        self._rest = b"\\" * ((len(block) - len(block.rstrip(b"\\"))) % 2)
        return block[: len(block) - len(self._rest)].replace(b"\\\\", b"\\")
