"""What a reading leaves out of its folder when it redacts: texts get marks, users and sessions become hashes, raw rows stay in the log.

In: the tables that a reading is about to write. Out: the same with ``messages``, ``response`` and ``tags`` redacted, and ``user`` and
``session_id`` hashed with a salt that lies in ``.planner/salt``, for its owner alone: the same user is the same in every reading of this
working directory, and nobody without that file can try names. Knows nothing of formats.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa

from planner.errors import InputError
from planner.traffic.files import owned_folder
from planner.traffic.redaction import redacted

__all__ = ["SALT", "hashed", "protected", "salt_at"]

SALT = Path(".planner") / "salt"
_TEXTS, _NAMES = ("messages", "response", "tags"), ("user", "session_id")
_SALT_BYTES, _HASH_BYTES = 32, 12


def salt_at(path: Path, make: bool = True) -> bytes | None:
    """Return the salt that lies at ``path``; where there is none, a new one is written (readable by its owner alone), or None is returned.

    Of two processes that make one at once, both get the one that was there first. InputError for a file that is no salt.
    """
    if make and not path.exists():
        owned_folder(path.parent)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SALT_BYTES))
        try:
            path.hardlink_to(part)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    if not path.exists():
        return None
    salt = path.read_bytes()
    if len(salt) != _SALT_BYTES:
        raise InputError(
            f"{path} with {len(salt)} bytes", f"a salt of {_SALT_BYTES} bytes", "restore it, or remove it and read the logs anew"
        )
    return salt


def hashed(name: str, salt: bytes) -> str:
    """Return what stands for a user or session: the keyed BLAKE2b hash of the name (RFC 7693), 96 bits in hexadecimal digits.

    >>> hashed("ann", b"a") == hashed("ann", b"a"), hashed("ann", b"a") == hashed("ann", b"b"), len(hashed("ann", b"a"))
    (True, False, 24)
    """
    return blake2b(name.encode("utf-8", "surrogatepass"), key=salt, digest_size=_HASH_BYTES).hexdigest()


def protected(table: pa.Table, salt: bytes) -> pa.Table:
    """Return accepted rows (columns of ``schema.TRAFFIC``) with texts redacted and names hashed; all else is as it was."""
    for name in (*_TEXTS, *_NAMES):
        change = redacted if name in _TEXTS else (lambda value: hashed(value, salt))
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(place), _changed(table[name], change))
    return table


def _changed(column: pa.ChunkedArray, change: Callable[[str], str]) -> pa.ChunkedArray:
    """Apply ``change`` to every different string once."""
    encoded = column.combine_chunks().dictionary_encode()
    values = pa.array([change(v) for v in encoded.dictionary.to_pylist()], column.type)
    return pa.chunked_array([values.take(encoded.indices)])
