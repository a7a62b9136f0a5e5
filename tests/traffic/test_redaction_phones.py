"""Telephone numbers: found in sentences, tables and CSV of many countries; amounts, dates and ids stay; work grows with the text alone."""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.traffic import read
from planner.traffic.redaction import redacted
from planner.traffic.redaction_phones import phones

#: Country → numbers as they are written there, as examples in libphonenumber's metadata are (fixed line, mobile).
NATIONAL = {
    "AT": ("01 234567890", "0664 123456"),
    "AU": ("(02) 1234 5678", "0412 345 678"),
    "BE": ("012 34 56 78", "0470 12 34 56"),
    "BR": ("(11) 2345-6789", "(11) 96123-4567"),
    "CA": ("(506) 234-5678", "506-234-5678"),
    "CH": ("021 234 56 78", "078 123 45 67"),
    "CN": ("010 1234 5678", "131-2345-6789"),
    "DE": ("030 123456", "01512 3456789"),
    "ES": ("810 12 34 56", "612 34 56 78"),
    "FR": ("01 23 45 67 89", "06.12.34.56.78"),
    "GB": ("0121 234 5678", "07400 123456"),
    "HU": ("(06 1) 234 5678", "(06 20) 123 4567"),
    "ID": ("(021) 8350123", "0812-345-678"),
    "IN": ("074104 10123", "081234 56789"),
    "IT": ("02 1234 5678", "06 698 12345"),
    "JP": ("03-1234-5678", "090-1234-5678"),
    "KR": ("02-212-3456", "010-2000-0000"),
    "LT": ("(0-312) 34567", "(0-612) 34567"),
    "NL": ("010 123 4567", "06 12345678"),
    "RU": ("8 (301) 123-45-67", "8 912 345-67-89"),
    "TR": ("(0212) 345 67 89", "0501 234 56 78"),
    "US": ("(201) 555-0123", "201.555.0123"),
    "ZA": ("010 123 4567", "071 123 4567"),
}
ABROAD = {
    "AT": "+43 664 123456",
    "AU": "+61 412 345 678",
    "BE": "+32 470 12 34 56",
    "BR": "+55 11 96123-4567",
    "CH": "+41 78 123 45 67",
    "CN": "+86 131 2345 6789",
    "DE": "+49 (0)1512 3456789",
    "DK": "+45 34 41 23 45",
    "ES": "+34 612 34 56 78",
    "FR": "+33 6 12 34 56 78",
    "GB": "+44 (0) 7400 123456",
    "IN": "+91 81234 56789",
    "JP": "+81 90-1234-5678",
    "MX": "+52 1 (222) 123 4567",
    "NO": "+47 406 12 345",
    "RU": "+7 (912) 345-67-89",
    "SG": "+65 8123 4567",
    "US": "+1 (201) 555-0123",
}
_INTERNATIONAL = [w for n in ABROAD.values() for w in (n, re.sub(r"\(0\) ?|[^+\d]", "", n), n.replace("+", "00"), n.replace(" ", "\u00a0"))]
_ALL = [
    *(n for numbers in NATIONAL.values() for n in numbers),
    *_INTERNATIONAL,
    "0049 30 901820",
    "00 49 30 901820",
    "+49\u201130\u2011901820",
]


@pytest.mark.parametrize("around", ["Call {} today.", "{}", "Ring {}, or write.", "line\n{}\nline", "office;{};Bonn", "office\t{}\tBonn"])
def test_numbers_of_many_countries_are_found(around: str) -> None:
    """As they are written in two dozen countries and between them, with any space or hyphen, no number is left."""
    assert [n for n in _ALL if redacted(around.format(n)) != around.format("<PHONE>")] == []


@pytest.mark.parametrize("around", ["17 {} Berlin", "id phone city\n17 {} Berlin\n18 {} Bonn", "17,{},5\n18,{},6", "ann,17,{},5,Berlin"])
def test_a_number_in_a_table_does_not_hide_the_telephone_number_behind_it(around: str) -> None:
    """An id and a space or comma before, and a count behind a comma, hide no number, however a country writes it."""
    spaced = {n for n in _ALL if re.match(r"[58]\d\d \d\d |8 |612", n)}  # so are amounts
    assert [n for n in _ALL if redacted(around.format(n, n)) != around.format(*["<PHONE>"] * 2) and n not in spaced] == []


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("CA 94105 415-555-9999", "CA 94105 <PHONE>"),
        ("CA 94105 (415) 555-9999 Room 5 +1 415 555 1234", "CA 94105 <PHONE> Room 5 <PHONE>"),
        ("15:30 +44 20 7946 0958", "15:30 <PHONE>"),
        ("2024-11-03 415-555-1234, 5 030 901820", "2024-11-03 <PHONE>, 5 <PHONE>"),
        ("user 7 0049 30 901820", "user 7 <PHONE>"),
        ("Hauptstr. 5 10115 Berlin 030 901820", "Hauptstr. 5 10115 Berlin <PHONE>"),
        ("+49 30 901820 20261103 +49 30 901821", "<PHONE> 20261103 <PHONE>"),
        ("+49 30 901820(415) 555-2671", "<PHONE><PHONE>"),
        ("a,+49 30 901820,+4930901821,b", "a,<PHONE>,<PHONE>,b"),
        ("415-555-2671x123 and (415) 555-2671 ext. 12", "<PHONE> and <PHONE>"),
        ("(+49) 30 901820", "<PHONE>"),
        ("12 +4915112345678 and +49 4111 1111 1111 1111", "12 <PHONE> and +49 <CARD>"),  # the first has a card's check digit
    ],
)
def test_what_stands_before_hides_nothing(text: str, after: str) -> None:
    """A postal code, a time, a room, a date or another number before a telephone number leaves it to be found."""
    assert redacted(text) == after


@pytest.mark.parametrize(
    "words", ["Tel. {}", "telefone: {}", "call me at {}", "Text us on {}.", "my number is {}", "电话：{}", "WhatsApp {}"]
)
@pytest.mark.parametrize("number", ["1700 1234", "20 49 12 34", "923 123 456", "234-5678", "71234567", "(2) 2123 4567"])
def test_behind_words_any_grouping_is_a_number(words: str, number: str) -> None:
    """What alone may be an amount is a telephone number behind a word of several languages that says so, and stays without it."""
    assert redacted(words.format(number)) == words.format("<PHONE>")
    assert redacted(f"See {number} there") == f"See {number} there"


def test_a_real_reading_leaves_no_number_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in a prompt comes out of ``read(redact=True)`` without any of its telephone numbers."""
    monkeypatch.chdir(tmp_path)
    text = "id phone city\n17 +49 30 901820 Berlin\n18 (415) 555-1234 SF\n19 030 901820 Berlin\nSan Francisco, CA 94105 415-555-9999"
    said = json.dumps([{"role": "user", "content": text}])
    row = {
        "request_id": "c1",
        "timestamp": "2026-11-01T00:00:00Z",
        "model": "gpt-5",
        "input_tokens": 9,
        "output_tokens": 3,
        "messages": said,
    }
    Path("log.jsonl").write_text(json.dumps(row), "utf-8")
    stored = json.loads(read("log.jsonl", "table", redact=True, out="o", text=True).frame("messages")["messages"][0])
    assert stored[0]["content"] == "id phone city\n17 <PHONE> Berlin\n18 <PHONE> SF\n19 <PHONE> Berlin\nSan Francisco, CA 94105 <PHONE>"


_DICE = random.Random(3)
_int = _DICE.randint


def _day() -> str:
    return f"{_int(2015, 2029)}-{_int(1, 12):02}-{_int(1, 28):02}"


def _time() -> str:
    return f"{_int(0, 23):02}:{_int(0, 59):02}:{_int(0, 59):02}"


#: What prompts and logs are full of: kind → how to make one.
HARMLESS: dict[str, Callable[[], str]] = {
    "ISO time": lambda: f"{_day()}T{_time()}.{_int(0, 999):03}Z {_day()} {_time()}+0{_int(0, 9)}:00 {_day()} {_time()}",
    "European date": lambda: f"{_int(1, 28):02}.{_int(1, 12):02}.{_int(2000, 2029)} {_time()}",
    "American date": lambda: f"{_int(1, 12)}/{_int(1, 28)}/{_int(2000, 2029)} - {_int(1, 12)}/{_int(1, 28)}/{_int(2000, 2029)}",
    "spaced date": lambda: f"{_int(1, 28):02} {_int(1, 12):02} {_int(2000, 2029)} {_int(0, 23):02} {_int(0, 59):02}",
    "price": lambda: (
        f"${_int(1, 999)},{_int(0, 999):03},{_int(0, 999):03}.{_int(0, 99):02}, {_int(1, 999)}.{_int(0, 999):03},{_int(0, 99):02} €"
    ),
    "spaced price": lambda: f"{_int(1, 999)} {_int(0, 999):03} {_int(0, 999):03},{_int(0, 99):02} EUR",
    "order": lambda: f"order #{_int(10**9, 10**10)}, {_int(100, 999)}-{_int(10**6, 10**7 - 1)}-{_int(10**6, 10**7 - 1)}",
    "version": lambda: f"v{_int(0, 99)}.{_int(0, 99)}.{_int(0, 9999)}-rc{_int(1, 9)}",
    "UUID": lambda: str(uuid.UUID(int=_DICE.getrandbits(128))),
    "address": lambda: f"{_int(1, 255)}.{_int(0, 255)}.{_int(0, 255)}.{_int(0, 255)}:{_int(1000, 65535)} {_int(0, 255)}.{_int(0, 255)}.0.1",
    "tokens": lambda: f"prompt {_int(1, 200000)} completion {_int(1, 9000)} total {_int(1, 200000)}",
    "four digits": lambda: " ".join(str(_int(1000, 9999)) for _ in range(3)),
    "IBAN": lambda: f"DE{_int(10, 99)} {_int(0, 9999):04} {_int(0, 9999):04} {_int(0, 9999):04} {_int(0, 9999):04} {_int(0, 99):02}",
    "pages": lambda: f"Nature {_int(1, 600)} ({_int(1, 60)}) {_int(1000, 9999)}-{_int(1000, 9999)}; {_int(1, 99)}({_int(1, 12)}), 101-202",
    "epoch": lambda: f"{_int(15 * 10**8, 18 * 10**8)}.{_int(0, 999999)} {_int(15 * 10**11, 18 * 10**11)}",
    "coordinates": lambda: f"{_DICE.uniform(-90, 90):.6f}, {_DICE.uniform(-180, 180):.6f}",
    "ISBN": lambda: f"978-{_int(0, 9)}-{_int(10, 99)}-{_int(100000, 999999)}-{_int(0, 9)}",
    "changes": lambda: f"+{_int(1, 99999)} -{_int(1, 99999)} +{_DICE.uniform(0, 9):.6f}",
    "arithmetic": lambda: f"{_int(1, 999)} + {_int(1, 999)} = {_int(1, 1999)}; ({_int(1, 99)}) {_int(1, 99)} * {_int(1000, 9999)}",
    "numbers": lambda: ",".join(str(_int(0, 10 ** _int(1, 7))) for _ in range(6)),
    "postal codes": lambda: ",".join(f"{_int(0, 99999):05}" for _ in range(4)),
    "hex": lambda: "ff " + " ".join(f"{_int(0, 255):02x}" for _ in range(3)) + " fe",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_no_telephone_number_stays(kind: str) -> None:
    """Of 1,000 of each kind, alone and in a sentence, none is marked."""
    for _ in range(1_000):
        text = HARMLESS[kind]()
        for line in (text, f"See {text} there"):
            assert phones(line) == line


#: Kind of text → a piece that is repeated; each once made the work grow with the square of the text, or cost many steps a character.
ADVERSARIAL = {
    "numbers in a row": "+49 30 901820 ",
    "national numbers": "030 901820 ",
    "American numbers": "415-555-2671 ",
    "glued numbers": "+49 30 901820(415) 555-2671",
    "too many digits": "+1234567890123456789012345678901234a ",
    "digits": "1",
    "spaced digits": "4 1 ",
    "plus": "+",
    "brackets": "(1)",
    "addresses": "a@a@",
    "long address": "a.",
    "years and cards": "2024 4111 ",
    "words": "call me at 1 2 3 4 5 6a ",
    "secrets": "password=",
    "keys": "sk-",
    "tokens": "-eyJ",
    "private keys": "-----BEGIN PRIVATE KEY-----",
}


def _seconds(text: str) -> float:
    start = time.process_time()
    redacted(text)
    return time.process_time() - start


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_work_grows_with_the_text(kind: str) -> None:
    """Four times as much of the worst text takes about four times as long, and a megabyte takes seconds, not hours."""
    piece = ADVERSARIAL[kind]
    short, long = (_seconds(piece * (size // len(piece))) for size in (250_000, 1_000_000))
    assert long < 6 * short + 0.2
    assert long < 30


def test_work_grows_with_json_text() -> None:
    """Addresses as names of one object, and a long name before many values, are no reason to take the square of the time."""
    for made in (
        lambda n: json.dumps({f"a{i}@example.org": i for i in range(n // 25)}),
        lambda n: json.dumps({"phone" * (n // 10): ["4155551234"] * (n // 28)}),
    ):
        short, long = _seconds(made(50_000)), _seconds(made(200_000))
        assert long < 6 * short + 0.2


#: How numbers were found before, pass by pass until nothing changed: slow, and blind behind a digit and a space.
_SLOW = re.compile(
    r"(?<![\w.,$€£/+-])(?<!\d )(?:"
    r"(?:\+|00)[1-9]\d{0,2}(?:[ ./-]?(?:\(\d{1,5}\)|\d{1,5})){2,6}"
    r"|(?:\+?1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[ .-])[2-9]\d{2}[ .-]\d{4}"
    r"|(?!\d\d([-/ ])\d\d\1\d{4}\b)(?:\(0[1-9]\d{0,4}\)|0[1-9]\d{0,4})[ /-]{1,3}\d{2,9}(?:[ -]\d{2,5}){0,4}"
    r")(?![\w]|[.,-]\d)"
)


def _slowly(text: str) -> str:
    before = ""
    while text != before:
        before, text = text, _SLOW.sub(lambda m: "<PHONE>" if 8 <= sum(c.isdecimal() for c in m[0]) <= 15 else m[0], text)
    return text


def test_one_pass_finds_what_many_found() -> None:
    """In ordinary sentences with numbers, amounts and dates the one pass gives what passes until nothing changed gave."""
    numbers = ["+49 30 901820", "0044 20 7946 0018", "(415) 555-2671", "415 555 2671", "030/901820-15", "0151 23456789", "+1-415-555-2671"]
    words = [
        "please",
        "ring",
        "between 9 and 17 o'clock",
        "on 2026-11-03,",
        "or",
        "about",
        "29.50 EUR",
        "order 4111111111111112:",
        "Berlin.",
        "\n",
    ]
    dice = random.Random(7)
    for _ in range(3_000):
        text = " ".join(w for _ in range(8) for w in (dice.choice(words), *dice.choices([(), (dice.choice(numbers), "so")], [2, 1])[0]))
        assert phones(text) == _slowly(text)
        assert phones(phones(text)) == phones(text)
