"""Personal data and secrets in a text → typed marks: ``<EMAIL>``, ``<PHONE>``, ``<CARD>``, ``<KEY>``, ``<TOKEN>``.

In: any text, also JSON text. Out: the same text with a mark for every find; JSON stays JSON of the same shape, also where it is written
inside a string, and equal texts stay equal, so that caches and shared prefixes are still seen (texts that differ in such data alone become
equal, too). Work grows with the length of the text alone. Patterns: addresses by RFC 5321's characters; telephone numbers as
``redaction_phones`` knows them, or under a name such as phone; cards by ISO/IEC 7812 (length, first digit, Luhn's check digit); keys by the
prefixes that their issuers document so that scanners find them, or under a name such as password. Names, postal addresses and what else
only a reader would recognise stay. Knows nothing of logs.
"""

from __future__ import annotations

import re
from collections import Counter

from planner.text.lossless import is_json
from planner.traffic.redaction_json import replaced
from planner.traffic.redaction_phones import QUOTE, UNDER_NAME, may_hold, phones

__all__ = ["MARKS", "finds", "redacted"]

MARKS = ("<EMAIL>", "<PHONE>", "<CARD>", "<KEY>", "<TOKEN>")
#: Before a find: no letter or digit, unless it is that of an escape such as ``\\n`` in JSON text.
_AFTER_ESCAPE = r"(?<=(?<!\\)\\[nrtbf])"
_START = rf"(?:(?<![A-Za-z0-9_])|{_AFTER_ESCAPE})"
_EMAIL = re.compile(r"[\w.%+-]{1,64}+@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")
#: Behind a plus, up to fifteen digits are a telephone number.
_CARD = re.compile(r"(?<![\w.])(?!(?<=\+)\d(?:[ -]?\d){12,14}(?![ -]?\d))[2-6](?:[ -]?\d){12,18}(?![\d.]?\d)")
#: As cards are written: in one, in fours, or 4-6-4 and 4-6-5.
_GROUPED_CARD = re.compile(r"(?<!\d)[2-6]\d{3}(?:([ -])\d{4}\1\d{4}\1\d{4}|([ -])\d{6}\2\d{4,5}|\d{9,15})(?!\d)")
#: The same, of the issuers that most cards are of.
_LATER_CARD = re.compile(rf"(?=4|5[1-5]|3[47]|6011|65|2[2-7]){_GROUPED_CARD.pattern}")
#: [characters] More than a card takes; the end of a name is what is read of it, so that work does not grow with names times values.
_CARD_CHARS, _NAME_CHARS = 24, 200
#: Words of a name under which a telephone number stands, and how JSON text in small letters looks that may hold such a name.
_PHONE_NAMES = frozenset(
    {
        *("tel", "phone", "telephone", "telefon", "telefono", "telefone", "mobile", "cell", "celular", "handy", "gsm", "fax", "whatsapp"),
        *("msisdn", "cellphone", "mobilephone", "phoneno", "phonenumber", "mobilenumber", "telephonenumber"),
    }
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_MAY_NAME_PHONE = re.compile(r"(?:tel|phone|mobile|cell|celular|handy|gsm|fax|whatsapp|msisdn)[\w .-]{0,16}\\*\"\s{0,3}:")
_KEY = re.compile(
    rf"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^\"-]|-(?!----BEGIN ))*?-----END [A-Z ]*PRIVATE KEY-----|{_START}(?:"
    r"sk-(?=[\w-]{0,100}\d)[\w-]{20,}"  # OpenAI, Anthropic, OpenRouter, DeepSeek, LiteLLM
    r"|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Z])"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}|gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent)-[\w-]{20,}"  # GitHub, GitLab
    r"|xox[abeoprs]-[\w-]{10,}|xapp-\d-[\w-]{10,}"  # Slack
    r"|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}"  # Stripe
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{30,}|pplx-[A-Za-z0-9]{40,}|nvapi-[\w-]{40,}"
    r"|npm_[A-Za-z0-9]{36,}|pypi-AgE[\w-]{50,}|dop_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}|SG\.[\w-]{16,}\.[\w-]{16,}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}"
    r"|AccountKey=[A-Za-z0-9+/]{80,}={0,2}"  # Azure storage
    r")"
)
_SECRET_NAME = r"(?i:api[_-]?key|access[_-]?key|client[_-]?secret|secret[_-]?key|secret|password|passwd|auth[_-]?token)"
_SECRET = r"(?=[^\s\"'\\,;]{0,100}\d)(?=[^\s\"'\\,;]{0,100}[A-Za-z])(?!<)([^\s\"'\\,;<>]{12,})"
_ASSIGNED = re.compile(rf"({_SECRET_NAME}{QUOTE}\s{{0,3}}[:=]\s{{0,3}}{QUOTE}){_SECRET}")
_NAMES_SECRET, _IS_SECRET = re.compile(f"{_SECRET_NAME}$"), re.compile(_SECRET)
_TOKEN = re.compile(
    rf"(?:(?<![\w-])|{_AFTER_ESCAPE})eyJ[\w-]{{8,}}\.eyJ[\w-]{{8,}}(?:\.[\w-]*)?|(?<=[Bb]earer )(?=[\w.~+/-]*\d)[\w.~+/-]{{20,}}=*"
)
#: What a text without any find does not hold, quick to look for: how keys begin, words before secrets.
_KEY_STARTS = (
    *("PRIVATE KEY", "sk-", "AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-"),
    *(
        "gldt-",
        "glrt-",
        "glcbt-",
        "glft-",
        "glsoat-",
        "glagent-",
        "xox",
        "xapp-",
        "k_live_",
        "k_test_",
        "whsec_",
        "AIza",
        "ya29.",
        "GOCSPX-",
    ),
    *("hf_", "gsk_", "xai-", "r8_", "pplx-", "nvapi-", "npm_", "pypi-AgE", "dop_v1_", "dapi", "SG.", "shp", "AccountKey="),
)
_ASSIGNED_WORDS = (
    *("api_key", "api-key", "apikey", "access_key", "access-key", "accesskey", "secret", "passw", "auth_token", "auth-token", "authtoken"),
)
_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_ESCAPED = re.compile(r"u[0-9A-Fa-f]{4}|[nrtbf]")


def redacted(text: str) -> str:
    r"""Return ``text`` with marks in place of what was found.

    >>> redacted("Write to ann@example.com or call +49 30 901820; card 4111 1111 1111 1111.")
    'Write to <EMAIL> or call <PHONE>; card <CARD>.'
    >>> redacted('[{"role":"user","content":"Hi\\nbob@example.com"}]')
    '[{"role":"user","content":"Hi\\n<EMAIL>"}]'
    >>> redacted("Order 2026-11-03 no. 4111111111111112, 29.50 EUR")
    'Order 2026-11-03 no. 4111111111111112, 29.50 EUR'
    >>> redacted('{"card": 4111111111111111, "phone": "4155551234"}')
    '{"card": "<CARD>", "phone": "<PHONE>"}'
    """
    marked = _patterns(text)
    found = marked != text or "\\u" in text or "\\/" in text or (may_hold(text) and _MAY_NAME_PHONE.search(text.lower()))
    return replaced(text, _value) if found and is_json(text) else marked


def _value(value: str, name: str, bare: bool) -> str:
    """Return what stands in place of a value of JSON text under ``name``; a ``bare`` one is a number, of which nothing is left."""
    name = name[-_NAME_CHARS:]
    phone = _names_phone(name)
    if bare:
        return "<CARD>" if _CARD.sub(_card, value) != value else "<PHONE>" if phone and UNDER_NAME.search(value) else value
    marked = redacted(value)
    if _NAMES_SECRET.search(name) and _IS_SECRET.match(marked):
        marked = _IS_SECRET.sub("<KEY>", marked, count=1)
    return UNDER_NAME.sub("<PHONE>", marked) if phone else marked


def _names_phone(name: str) -> bool:
    """Say whether what stands under ``name`` is a telephone number; a mark in it says nothing.

    >>> _names_phone("customerPhone"), _names_phone("mobile_numbers"), _names_phone("hotel")
    (True, True, False)
    """
    return any(word.lower().removesuffix("s") in _PHONE_NAMES for word in _WORD.findall(name.replace("<PHONE>", "")))


def _patterns(text: str) -> str:
    """Mark what the patterns find in a text, whatever it is."""
    if any(start in text for start in _KEY_STARTS):
        text = _KEY.sub("<KEY>", text)
    if "eyJ" in text or "earer " in text:
        text = _TOKEN.sub("<TOKEN>", text)
    small = text.lower()
    if any(word in small for word in _ASSIGNED_WORDS):
        text = _ASSIGNED.sub(r"\1<KEY>", text)
    if "@" in text:
        text = _EMAIL.sub(_after_escape, text)
    return phones(_cards(text)) if may_hold(text) else text


def finds(before: str, after: str) -> Counter[str]:
    """Count the marks that redaction put into a text.

    >>> finds("a@b.org", redacted("a@b.org"))
    Counter({'<EMAIL>': 1})
    """
    return Counter({mark: n for mark in MARKS if (n := after.count(mark) - before.count(mark))})


def _after_escape(match: re.Match[str]) -> str:
    """Mark an address; what ends an escape of JSON text before it is no part of it."""
    escape = _ESCAPED.match(match[0]) if _ESCAPE.search(match.string, max(0, match.start() - 64), match.start()) else None
    if not escape:
        return "<EMAIL>"
    return escape[0] + ("<EMAIL>" if match[0][escape.end()] != "@" else match[0][escape.end() :])


def _cards(text: str) -> str:
    """Mark the cards in a text, also those behind so many other digits that the first of them are taken for one."""
    parts, end, at = [], 0, 0
    while found := _CARD.search(text, at):
        at, new = found.end(), _card(found)
        if new == found[0] and (later := _LATER_CARD.search(text, found.start() + 1, at + _CARD_CHARS)) and later.start() < at:
            found, at, new = later, later.end(), _card(later)
        parts += [text[end : found.start()], new]
        end = at
    return "".join([*parts, text[end:]])


def _card(match: re.Match[str]) -> str:
    """Mark a card, also one with other digits before or behind it, such as the day on which it expires."""
    return "<CARD>" if _checks(match[0]) else _GROUPED_CARD.sub(lambda part: "<CARD>" if _checks(part[0]) else part[0], match[0])


def _checks(number: str) -> bool:
    """Say whether the last digit is Luhn's check digit of the others."""
    digits = [int(c) for c in number if c.isdecimal()][::-1]
    luhn = sum(digits[::2]) + sum(sum(divmod(2 * d, 10)) for d in digits[1::2])
    return luhn % 10 == 0 and len(set(digits)) > 1
