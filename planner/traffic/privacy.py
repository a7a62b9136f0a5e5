"""What a reading leaves out of its folder: texts, unless they are asked for; personal data and the names of users, where that is asked.

In: rows as a reader made them, the tables and reasons that a reading is about to write. Out: the same without texts, or redacted:
every column of free words passes the patterns of ``redaction``; ``user`` and ``session_id`` become hashes, in the row's tags, too; ids and
apps that hold anything of the kind become hashes as a whole, so that different ones stay different. Either way raw rows stay in the log,
reasons lose the values that they quote, and cache keys are hashed. The salt lies in ``.planner/salt``, for its owner alone: the same user
is the same in every reading of this working directory, and nobody without that file can try names. Knows nothing of formats.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from planner.errors import InputError
from planner.schema import MADE_KEY, PARAMETERS, TEXT_STATES, TRAFFIC
from planner.traffic.files import owned_folder
from planner.traffic.reader import Options, Row
from planner.traffic.reasons import unquoted
from planner.traffic.redaction import redacted

__all__ = ["CLOSED", "OPEN", "SALT", "Door", "hashed", "salt_at"]

SALT = Path(".planner") / "salt"
#: Columns of strings that hold known words only.
CLOSED = ("text_state", "status", "purpose", "evidence")
_NAMES = ("user", "session_id")
#: Columns that pass the patterns and nothing else.
_WORDS = tuple(
    c.name for c in TRAFFIC.columns if c.type == "string" and c.name not in (*CLOSED, *_NAMES, "request_id", "app", "cache_key", "tags")
)
#: What shapes an answer besides the messages where a row does not say.
_DEFAULTS = {c.name: c.default for c in TRAFFIC.columns if c.name in PARAMETERS}
_STRING = (str, type(None))
_PLAIN = frozenset(_STRING)
_SALT_BYTES, _HASH_BYTES = 32, 12
_Key = TypeVar("_Key")
#: The names of a row's own user and session, where it has them.
_Own: TypeAlias = tuple[str | None, ...]


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
    state = _keyed(salt).copy()
    state.update(name.encode("utf-8", "surrogatepass"))
    return state.hexdigest()


@lru_cache(maxsize=16)
def _keyed(salt: bytes) -> blake2b:
    return blake2b(key=salt, digest_size=_HASH_BYTES)


@dataclass(frozen=True)
class Door:
    """What a reading lets in: all, where nothing was asked for.

    Parameters
    ----------
    redact: personal data become marks, and names hashes. text: prompts and answers come in.
    salt: of the hashes; there is one where anything is kept out.
    """

    redact: bool = False
    text: bool = True
    salt: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, options: Options) -> Door:
        """Return what ``options`` ask for, with the salt of the working directory where one is needed."""
        closed = options.redact or not options.text
        return cls(options.redact, options.text, (salt_at(SALT) or b"") if closed else b"")

    @property
    def is_open(self) -> bool:
        """Whether everything comes in as it stands."""
        return self.text and not self.redact

    @property
    def print(self) -> str:
        """What tells doors apart whose rows differ, without telling their salt."""
        return self._hash("print") if self.salt else ""

    def leave(self, row: Row) -> bool:
        """Take the texts out of a row as a reader made it, and say whether there were any.

        A whole prompt leaves a key that is equal where a cache would take requests for equal: a salted hash of all that
        ``prints.Prints.request`` hangs on, where the gateway has not logged a key of its own. What breaks a law of the table stays, so
        that the row is refused.
        """
        get = row.get
        messages, response, key, state = get("messages"), get("response"), get("cache_key"), get("text_state")
        fits = type(messages) in _PLAIN and type(response) in _PLAIN and type(key) in _PLAIN
        if not fits:
            messages, response, key = map(_word, (messages, response, key))
            fits = all(isinstance(word, _STRING) for word in (messages, response, key))
        if fits and (state is None or state in TEXT_STATES):
            whole = messages if state == "full" else None
            made = MADE_KEY + self._hash(whole + _told(row)) if whole else None
            row["cache_key"] = self._hash(key) if key else made
            row["messages"], row["response"], row["text_state"] = None, None, TEXT_STATES[-1]
        return bool(messages or response)

    def rows(self, table: pa.Table) -> pa.Table:
        """Return accepted rows (columns of ``schema.TRAFFIC``) as they are written; ``leave`` took out texts that stay outside."""
        if not self.text:
            table = _textless(table)
        if not self.redact:
            return table
        if self.text:
            table = _with(table, "cache_key", _changed(table["cache_key"], self._hash))
        return self._redacted(table)

    def reason(self, reason: str) -> str:
        """Return why a row was set aside as it is written."""
        return reason if self.is_open else redacted(unquoted(reason))

    def names(self, names: Mapping[_Key, str]) -> dict[_Key, str]:
        """Return the names of files as they are written: redacted ones get a number where two would be equal."""
        if not self.redact:
            return dict(names)
        found: dict[_Key, str] = {}
        for key, name in names.items():
            marked, count = redacted(name), 1
            while marked in found.values():
                count += 1
                marked = f"{redacted(name)} ({count})"
            found[key] = marked
        return found

    def _hash(self, name: str) -> str:
        return hashed(name, self.salt)

    def _redacted(self, table: pa.Table) -> pa.Table:
        own = list(zip(*(table[name].to_pylist() for name in _NAMES), strict=True))
        for name in _WORDS:
            table = _with(table, name, _changed(table[name], redacted))
        table = _with(table, "tags", _each(table["tags"], own, self._tags))
        table = _with(table, "request_id", _each(table["request_id"], own, self._id))
        table = _with(table, "app", _each(table["app"], own, self._app))
        for name in _NAMES:
            table = _with(table, name, _changed(table[name], self._hash))
        return table

    def _id(self, value: str, own: _Own) -> str:
        """Return an id, or its hash where it holds personal data or one of the row's own names."""
        return self._hash(value) if redacted(value) != value or self._unnamed(value, own) != value else value

    def _app(self, value: str, own: _Own) -> str:
        """Return an app, or its hash where it holds personal data or is one of the row's own names, as a key's alias may be."""
        return self._hash(value) if value in own or redacted(value) != value else value

    def _tags(self, tags: str, own: _Own) -> str:
        """Return tags (a JSON list of strings, or any text) redacted, and the row's own names as hashes."""
        try:
            found = orjson.loads(tags)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
            return redacted(self._unnamed(tags, own))
        return orjson.dumps([redacted(self._unnamed(tag, own)) for tag in found]).decode()

    def _unnamed(self, text: str, own: _Own) -> str:
        """Return ``text`` with the names in ``own``, where they stand as words, as hashes; the longest one first."""
        for name in sorted({n for n in own if n and n in text}, key=len, reverse=True):
            text = re.sub(rf"(?<![\w@.-]){re.escape(name)}(?![\w@-]|\.\w)", self._hash(name), text)
        return text


def _word(value: Any) -> Any:
    """Return text as text, also where a file had it as bytes, and anything else as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _told(row: Row) -> str:
    """Return in words what shapes the answer of a row, the values of PARAMETERS."""
    try:
        return _in_words(tuple(map(row.get, PARAMETERS)))
    except TypeError:  # a value that a row cannot hold, for which it is refused
        return ""


@lru_cache(maxsize=4_096)
def _in_words(values: tuple[Any, ...]) -> str:
    """Write values that are equal alike: equal ones are remembered as one."""
    told = [default if v is None else v for v, default in zip(values, map(_DEFAULTS.get, PARAMETERS), strict=True)]
    return f"\n{[v if isinstance(v, str) or v is None else float(v) for v in told]}"


#: Lets everything in.
OPEN = Door()


def _textless(table: pa.Table) -> pa.Table:
    """Return rows whose texts, where a reader gave them as anything but text, are gone, too."""
    for name in ("messages", "response"):
        if table[name].null_count < len(table):
            table = _with(table, name, pa.chunked_array([pa.nulls(len(table), pa.string())]))
    if pc.any(pc.not_equal(table["text_state"], TEXT_STATES[-1])).as_py():
        table = _with(table, "text_state", pa.chunked_array([pa.repeat(pa.scalar(TEXT_STATES[-1]), len(table))]))
    return table


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(place), column)


def _changed(column: pa.ChunkedArray, change: Callable[[str], str]) -> pa.ChunkedArray:
    """Apply ``change`` to every different string once."""
    encoded = column.combine_chunks().dictionary_encode()
    values = pa.array([change(v) for v in encoded.dictionary.to_pylist()], column.type)
    return pa.chunked_array([values.take(encoded.indices)])


def _each(column: pa.ChunkedArray, own: Sequence[_Own], change: Callable[[str, _Own], str]) -> pa.ChunkedArray:
    """Apply ``change`` to every string and the names of its row, once for equal ones."""
    pairs = list(zip(column.to_pylist(), own, strict=True))
    new = {pair: change(*pair) for pair in dict.fromkeys(pairs) if pair[0] is not None}
    return pa.chunked_array([pa.array([new.get(pair) for pair in pairs], column.type)])
