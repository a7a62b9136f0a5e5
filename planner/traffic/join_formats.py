"""Files of two formats are two logs: read as one, the rows of one would be set aside as damage, or the calls be counted twice.

In: the files of a reading and the reader that was chosen by the first of them. Out: nothing, or a refusal that names the other file.
Knows nothing of any one format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from planner.errors import InputError
from planner.traffic.reader import Reader, all_readers
from planner.traffic.records import records

__all__ = ["refuse_formats"]

#: Files that are looked into, and records of each.
_FILES, _RECORDS = 20, 5


def refuse_formats(files: Sequence[Path], names: Mapping[Path, str], reader: Reader) -> None:
    """Raise InputError when one of ``files`` (called ``names``) is not of ``reader``'s format and surely of another one's.

    A reader that puts records of several files together (``gather``) knows what belongs together itself.
    """
    if reader.gather:
        return
    for path in files[:_FILES]:
        sample = [f.value for f in islice(records(path), _RECORDS) if f.value]
        other = next((r.name for r in all_readers().values() if sample and r.sniff(sample)), reader.name)
        if other != reader.name and not reader.sniff(sample):
            raise InputError(
                f"{names[path]}, which is {other}, beside {names[files[0]]}, which is {reader.name}",
                "files of one format",
                "read the logs one by one and join them: planner.join(a, b), in the shell planner join A B (--apart if no call is in both)",
            )
