"""Telephone numbers in a text → ``<PHONE>``, by how they are written or by the word before them.

In: any text. Out: the same with a mark for every number: international (E.164, behind ``+`` or ``00``), as North America, the plans with a
leading 0, Russia, Brazil, China and Spain group them, or behind words such as "phone" or "call me at". Work grows with the length of
the text alone. Bare digits without such a word stay, and so does what only groups digits in threes, fours or pairs: those are more often
amounts, years and bytes. Knows nothing of JSON, cards or keys.
"""

from __future__ import annotations

import re

__all__ = ["QUOTE", "UNDER_NAME", "may_hold", "phones"]

_FEWEST = 8  # digits of a number, country code included
#: An amount such as +12345678,90 has fewer digits than this before its decimals.
_MOST_OF_AMOUNT, _DECIMALS = 10, re.compile(r",\d{1,2}(?![\d,])")
#: +3.14159265, but not +1.4155552671 and +49.30901820, as registries of domains write numbers.
_FRACTION = re.compile(r"\+(?![17]\.\d{10}$|[2-9]\d{1,2}\.\d{7,12}$)\d{1,3}\.\d+")
#: Between digits: spaces and hyphens of all kinds, points, slashes.
_SEP = r"[ \u00a0\u2009\u202f./\u2010-\u2015-]"
_SPACE, _DASH = r"[ \u00a0\u2009\u202f]", r"[\u2010\u2011-]"
#: Where a number may begin: six digits more follow closely, and no letter or digit stands before.
_SPOT = re.compile(r"[+\uff0b(\d](?<!\w.)[+\uff0b]?(?:[ \u00a0\u2009\u202f()./\u2010-\u2015-]{0,3}\d){6}")
_END = r"(?:(?: ?x|,? ?ext\.? ?)\d{1,6})?(?!\w|[.-]\d)"
#: Country code, perhaps an area in brackets, and the rest; fifteen digits at most, of more those up to the last gap.
_ABROAD = (
    rf"[1-9]\d{{0,2}}\)?(?:(?:{_SEP}?\d){{0,3}}{_SEP}?\(\d{{1,5}}\)(?:{_SEP}?\d){{4,11}}|(?:{_SEP}?\d){{4,12}})"
    r"(?: ?x\d{1,6}|,? ?ext\.? ?\d{1,6})?(?!\w)"
)
_NOT_BEHIND = r"(?<![\w.$€£/+-])"
#: Ways to write a number that nothing else is written in, whatever stands before.
_SURE = re.compile(
    rf"(?<![\w+])(?:\((?=[+\uff0b]\d{{1,3}}\)))?[+\uff0b]{_ABROAD}"
    rf"|{_NOT_BEHIND}(?:"
    rf"(?:1[ .-]?)?\(\d{{3}}\){_SEP}?\d{{3}}{_DASH}\d{{4}}|(?:1[ .-]?)?\([2-9]\d{{2}}\) ?[2-9]\d{{2}}[ .]\d{{4}}"  # (415) 555-2671
    rf"|(?:1[ .-])?(?:\d{{3}}{_DASH}\d{{3}}{_DASH}\d{{4}}|[2-9]\d{{2}}\.[2-9]\d{{2}}\.\d{{4}})"  # 415-555-2671
    r"|8[ -]?\(\d{3,5}\) ?\d{1,3}[ -]\d\d[ -]?\d\d|8[ -](?:\d{3}[ -]\d|0\d{3} )\d\d-\d\d-\d\d"  # 8 (912) 345-67-89
    rf"|\([1-9]\d\) ?9\d{{4}}{_DASH}\d{{4}}"  # (11) 96123-4567
    rf"|1[3-9]\d{_DASH}\d{{4}}{_DASH}\d{{4}}"  # 138-1234-5678
    r"|0[1-9](?:\.\d\d){4}"  # 01.23.45.67.89
    rf"){_END}"
)
_NO_DATE = r"(?!\d\d([-/ ])\d\d\2\d{4}\b)"
#: Ways in which other numbers are written, too, where one follows another.
_LIKELY = re.compile(
    rf"{_NOT_BEHIND}(?:"
    rf"(?<!\d:)00(?!(?: \d\d){{3}}(?!\d)){_SPACE}?{_ABROAD}"  # no bytes, no time
    r"|(?:1[ .-])?[2-9]\d{2}[ .-][2-9]\d{2}[ .-]\d{4}"
    r"|[5-9]\d{2}(?: \d\d){3}(?! ?\d)"  # 612 34 56 78
    rf"|\([1-9]\d\) ?(?!(\d)\d{{3}}-\1)[2-5]\d{{3}}{_DASH}\d{{4}}"  # (11) 2345-6789, no pages such as (11) 2345-2350
    rf"|{_NO_DATE}(?:\(0(?:-\d{{2,3}}|[1-9]\d{{0,4}}|[1-9] \d{{1,2}})\)|0[1-9]\d{{0,4}})"
    r"[ \u00a0/\u2011-]{1,3}\d{2,9}(?:[ \u00a0\u2011-]\d{2,5}){0,4}"
    rf"){_END}"
)
_BEHIND_DIGIT = re.compile(r"\d[ ,]$")
#: The only number before: an id that begins a row, a house, a postal code; no IBAN, date or row of counts. Before pairs only a short id.
_BEHIND_ONE = re.compile(r"(?:^|[\n\t|;:(]|[^\s\d,.-]{2}[ ,]) *\d{1,9}[ ,]$")
_BEHIND_ID = re.compile(r"(?:^|[\n\t|;(]|[^\s\d],) *\d{1,3}[ ,]$")
#: Behind a number: an area of three digits or more and then five digits at once is no other number; five pairs, or a bracket and two
#: fours, may be one; times and bytes are too often.
_LONG = re.compile(r"\(?0\d{2,5}\)?[ /-]{1,3}\d{5}")
_IN_PAIRS = re.compile(r"0\d(?: \d\d){4}|\([1-9].*")
_GOES_ON = re.compile(r" (?:\d|[\da-f]{2}\b)")
_OFTEN_ELSE = re.compile(r"(?!0\d(?: \d\d){4}$)0\d \d\d(?:\d\d)?(?: \d\d)+|[5-9]\d\d \d\d .*")
#: [characters] What is looked at before a number, and more than any is long.
_LOOK_BACK, _LOOK_AHEAD = 16, 128
#: A quote around a name or value in JSON, perhaps escaped.
QUOTE = r"(?:\\?[\"'])?"
_WORDS = (
    "tel|tél|phone|telephone|téléphone|telefon|telefono|teléfono|telefone|mobile|mobil|móvil|celular|cellulare|cell|handy|gsm|fax|whatsapp"
    "|тел|телефон"
)
_ASIAN_WORDS = r"(?:电话|手机|電話|전화)(?:号码|番号|번호)?[是は는]?"
_DATE = r"\d{4}-\d\d-\d\d"
UNDER_NAME = re.compile(rf"(?!{_DATE})(?<![\w.])\+?\(?\d(?:[ ()./-]{{0,3}}\d){{6,14}}(?!\w|[.,-]\d)")
"""A telephone number however it is grouped, where a name says that it is one."""
_NAMED = re.compile(
    rf"(?i:(?:\b(?:{_WORDS})\b\.?(?: (?:number|no|nr|num)\b\.?)?|\b(?:contact|callback|my|our|his|her) number\b"
    rf"|\b(?:call|ring|dial|reach|text) (?:me|us|him|her|them)(?: back)?\b|{_ASIAN_WORDS})"
    rf"(?: (?:is|at|on|under))?{QUOTE}[:=\uff1a]? ?{QUOTE})"
    rf"(?!{_DATE})(\(?\d(?:[ ()./-]{{0,2}}\d){{6,14}})(?!\w|[.,-]\d)"
)
#: Quick to look for: one of them is part of every such word.
_HINTS = (
    *("tel", "tél", "phon", "mobil", "móvil", "cel", "handy", "gsm", "fax", "whatsapp", "тел", "电话", "手机", "電話", "전화"),
    *("number", "call", "ring", "dial", "reach", "text"),
)


def may_hold(text: str) -> bool:
    """Say whether seven digits stand close together somewhere, without which there is no number."""
    return _SPOT.search(text) is not None


def phones(text: str) -> str:
    """Return ``text`` with a mark in place of every telephone number.

    >>> phones("17 +49 30 901820 Berlin, 18 (415) 555-2671 SF, tel. 1700 1234")
    '17 <PHONE> Berlin, 18 <PHONE> SF, tel. <PHONE>'
    >>> phones("1700 1234 of 923 123 456, 2026-11-03 09:00:01")
    '1700 1234 of 923 123 456, 2026-11-03 09:00:01'
    """
    parts: list[str] = []
    end = at = 0
    while (start := _spot(text, at, end)) >= 0:
        at = start + 1
        if length := _length(text, start, end):
            parts += [text[end:start], "<PHONE>"]
            end = at = start + length
    marked = "".join([*parts, text[end:]])
    small = marked.lower()
    return _NAMED.sub(_behind_words, marked) if any(hint in small for hint in _HINTS) else marked


def _spot(text: str, at: int, end: int) -> int:
    """Return where the next number may begin, from ``at`` on, or -1; ``end`` of the last mark."""
    if at == end > 0 and text[at : at + 1] in ("+", "\uff0b", "("):
        return at
    spot = _SPOT.search(text, at)
    return spot.start() if spot else -1


def _length(text: str, start: int, end: int) -> int:
    """Return the length of the number that begins at ``start``, 0 where none does; the last mark ends at ``end``."""
    before = text[max(end, start - _LOOK_BACK) : start]
    if 0 < end > start - _LOOK_BACK:
        before = ">" + before
    view = before + text[start : start + _LOOK_AHEAD]
    if sure := _SURE.match(view, len(before)):
        return len(sure[0]) if _is_whole(sure[0], view[sure.end() :]) else 0
    likely = _LIKELY.match(view, len(before))
    if not likely or sum(c.isdecimal() for c in likely[0]) < _FEWEST:
        return 0
    hidden = _BEHIND_DIGIT.search(before) and not _stands_alone(before, likely[0], view[likely.end() :])
    return 0 if hidden else len(likely[0])


def _is_whole(number: str, after: str) -> bool:
    """Say whether a number has enough digits, and is no amount with a sign and a decimal comma.

    >>> _is_whole("+1234567", ""), _is_whole("+12345678", ",90 EUR"), _is_whole("+12345678", ",90,Bonn"), _is_whole("+49301234567", ",90")
    (False, False, True, True)
    """
    digits = sum(c.isdecimal() for c in number)
    is_amount = digits < _MOST_OF_AMOUNT and number[1:].isdecimal() and _DECIMALS.match(after)
    return digits >= _FEWEST and not is_amount and not _FRACTION.fullmatch(number)


def _stands_alone(before: str, number: str, after: str) -> bool:
    """Say whether a number that is written as others are is a telephone number although a digit stands before it."""
    if _LONG.match(number):
        return True
    if _GOES_ON.match(after) or _OFTEN_ELSE.fullmatch(number):
        return False
    return (_BEHIND_ID if _IN_PAIRS.fullmatch(number) else _BEHIND_ONE).search(before) is not None


def _behind_words(found: re.Match[str]) -> str:
    return found[0][: found.start(1) - found.start()] + "<PHONE>"
