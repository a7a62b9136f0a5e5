"""How the shell says what the library says: keyword arguments in a sentence become options, words become a line that can be pasted.

In: sentences as the library writes them; the words of a command. Out: the same for a shell. Knows nothing of what is said.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

__all__ = ["pasted", "spoken"]

_SPOKEN = (
    ("mapping=", "--map"),
    ("prompt=.", "--prompt COLUMN."),
    ("quality=.", "--quality 'PATTERN*'."),
    ("app=.", "--app-col COLUMN."),
    ("output_tokens=…, for example 1 for", "--expected-output MODEL=TOKENS, for example 1 token for"),
    ("Apps.draft(traffic).save(path)", "planner apps init"),
    ("and pass it", "and pass it with --apps"),
    ("base_url=…", "--base-url URL"),
    ("budget_usd=…", "--budget USD"),
    ("redact=True", "--redact"),
    ("text=True", "--text"),
    ("allow_twice=True", "--allow-twice"),
    ("state the assumption with assume_tier_before_start, or ", ""),
)
#: What the library says for itself before it names the shell's own way, and what follows that way.
_FIRST = re.compile(r"[\w.]+(?:=\{[^}]*\}|=|\([^()]*\))?, in the shell (?!:)")
_BESIDE = re.compile(r"[\w.]+(?:=\{[^}]*\}|='[^']*'|=\w*|\([^()]*\)) \((?:in the shell )?(--[^()]*)\)")
_IN_PYTHON = re.compile(r"; in Python (?:planner\.read\([^)]*\)|read both with text=True)")
_RENAME = re.compile(r"models=\{'([^']*)': \.\.\.\}")
_MAPPING = re.compile(r"mapping=\{([^}]*)\}")
_ARGUMENT = re.compile(r"(?<![-\w])(?<!--map )(format|prompt|quality|cost|app_from|out)=(\S|\s)")


def spoken(sentence: str) -> str:
    """Turn the library's keyword arguments in a sentence into the shell's options.

    >>> spoken("Pass format= or mapping= if this is another kind of log")
    'Pass --format or --map if this is another kind of log'
    >>> spoken("pass mapping={'request_id': COLUMN, 'model': '=NAME', ...}")
    'pass --map request_id=COLUMN --map model==NAME'
    >>> spoken("take it: mapping={'quality': 'NAME.0'}")
    'take it: --map quality=NAME.0'
    >>> spoken("Got models={'gpt5': ...}; expected a model among gpt-5")
    "Got '--model gpt5=…'; expected a model among gpt-5"
    >>> from planner.errors import with_text
    >>> spoken(with_text("calls.jsonl"))
    'read the log calls.jsonl with its text (planner read LOG --text)'
    >>> spoken("name it with against= (--against), or join them: planner.join(a, b), in the shell planner join A B")
    'name it with --against, or join them: planner join A B'
    """
    sentence = _IN_PYTHON.sub("", sentence)
    sentence = _BESIDE.sub(r"\1", _FIRST.sub("", sentence))
    sentence = _RENAME.sub(r"'--model \1=…'", sentence)
    sentence = _MAPPING.sub(lambda m: " ".join(f"--map {_pair(p)}" for p in m[1].split(", ") if ":" in p), sentence)
    for said, option in _SPOKEN:
        sentence = sentence.replace(said, option)
    return _ARGUMENT.sub(lambda m: f"--{m[1].replace('_', '-')} ".rstrip() + ("" if m[2].isspace() else " ") + m[2], sentence)


def _pair(text: str) -> str:
    name, _, value = text.partition(": ")
    return shlex.quote(name.strip("'") + "=" + value.strip("'"))


def pasted(*words: str | Path) -> str:
    """Write a command as it can be pasted: what a shell would take apart stands in quotes.

    >>> pasted("planner", "export", Path("my labels"), "--method", "per app", "--out", "ANOTHER_FOLDER")
    "planner export 'my labels' --method 'per app' --out ANOTHER_FOLDER"
    """
    return shlex.join(map(str, words))
