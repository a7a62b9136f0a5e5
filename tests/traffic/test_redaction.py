"""Redaction: what is planted is found, what only looks like it stays, JSON stays JSON."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.synthetic import sample_folder
from planner.traffic.reader import Options, reader_named
from planner.traffic.records import records
from planner.traffic.redaction import MARKS, redacted

_DICE = random.Random(5)


def _made(count: int, of: str = ascii_letters + digits) -> str:
    return "".join(_DICE.choices(of, k=count - 1)) + "7"


#: Mark → examples, written here and not taken from the patterns; keys are random behind their issuer's published prefix.
PLANTED: dict[str, tuple[str, ...]] = {
    "<EMAIL>": (
        *(
            "ann@example.com",
            "bob.smith+orders@mail.example.co.uk",
            "x_1%y@sub-domain.example.museum",
            "jürgen@exämple.de",
            "O.NEIL@EXAMPLE.ORG",
        ),
    ),
    "<PHONE>": (
        *(
            "+49 30 901820",
            "+4915123456789",
            "+1 415 555 2671",
            "+1-415-555-2671",
            "+44 (0)20 7946 0018",
            "0044 20 7946 0018",
            "+33 1 70 18 99 00",
        ),
        *(
            "(415) 555-2671",
            "415-555-2671",
            "415.555.2671",
            "030/901820-15",
            "0151 23456789",
            "020 7946 0018",
            "+91 98765 43210",
            "+81-3-1234-5678",
            "(02) 1234 5678",
            "01 234567890",
        ),
    ),
    "<CARD>": (
        *("4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005", "6011111111111117"),
        *("30569309025904", "3530111333300000", "2223003122003222", "6200000000000005"),
    ),
    "<KEY>": (
        *(
            f"sk-{_made(48)}",
            f"sk-proj-{_made(20)}_{_made(60)}-{_made(20)}",
            f"sk-ant-api03-{_made(86)}-AA",
            f"sk-or-v1-{_made(64, '0123456789abcdef')}",
        ),
        *(f"AKIA{_made(16, 'ABCDEFGHJKLMN234567')}", f"ghp_{_made(36)}", f"github_pat_{_made(22)}_{_made(59)}", f"glpat-{_made(20)}"),
        *(
            f"xoxb-{_made(12, digits)}-{_made(13, digits)}-{_made(24)}",
            f"sk_live_{_made(24)}",
            f"AIza{_made(35)}",
            f"hf_{_made(34)}",
            f"gsk_{_made(52)}",
        ),
        *(
            f"npm_{_made(36)}",
            f"xai-{_made(80)}",
            f"SG.{_made(22)}.{_made(43)}",
            f"dapi{_made(32, '0123456789abcdef')}",
            f"glrt-{_made(20)}",
        ),
        f"-----BEGIN RSA PRIVATE KEY-----\n{_made(64)}\n{_made(64)}\n-----END RSA PRIVATE KEY-----",
    ),
    "<TOKEN>": (
        f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{_made(40)}.{_made(43)}",
        f"eyJhbGciOiJub25lIn0.eyJ{_made(30)}.",
    ),
}
#: What logs are full of and nobody needs to hide.
HARMLESS = (
    *("2026-11-03T09:00:01.120Z", "1762160400000", "550e8400-e29b-41d4-a716-446655440000", "10.0.12.255", "v4.12.7", "12,345,678.90 EUR"),
    *(
        "order 4111111111111112",
        "0.30000000000000004",
        "chatcmpl-1ffdd511b0fb",
        "sk-learn and task-management-system-overview-page",
        "3.14159265358979",
    ),
    *(
        "the api_key parameter is required",
        "password: please choose one",
        "secret = load_secret(name)",
        "@decorator",
        "user@localhost",
        "a @ b",
    ),
    *(
        "ISBN 978-3-16-148410-0",
        "Section 2.51 of 2026",
        "0000000000000000",
        "1600-1700",
        "10-20-30",
        "fe80::1ff:fe23:4567:890a",
        "0x00ff00ff00ff00ff",
    ),
    *(
        "$1,200,000,000",
        "tokens: 123456789",
        "2026/11/03 12/24/2025",
        "max_tokens=4096",
        "1234567890123456789",
        "DE89 3704 0044 0532 0130 00",
    ),
)
_CASES = [(mark, secret) for mark, secrets in PLANTED.items() for secret in secrets]


@pytest.mark.parametrize("around", ["{}", "My data: {}, thanks.", "line one\n{}\nline three", "({})", '"{}"', "Ring {} or write."])
@pytest.mark.parametrize(("mark", "secret"), _CASES)
def test_all_that_is_planted_is_found(mark: str, secret: str, around: str) -> None:
    """Recall on the planted set is whole: nothing of a secret is left, whatever stands around it, and the mark says what it was."""
    after = redacted(around.format(secret))
    assert after == around.format(mark)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    """Dates, ids, amounts, versions and words about keys are left as they are."""
    assert redacted(f"See {text}.") == f"See {text}."


def test_a_number_after_the_word_phone_is_one() -> None:
    """Bare digits are a telephone number only where a word says so."""
    assert redacted("phone: 4155552671, order 4155552671") == "phone: <PHONE>, order 4155552671"
    assert redacted("Tel. 923 123 456 for 923 123 456 EUR") == "Tel. <PHONE> for 923 123 456 EUR"
    assert redacted("mobile 2026-11-03, phone 5.0.21") == "mobile 2026-11-03, phone 5.0.21"


def test_an_assigned_secret_is_hidden_and_its_name_stays() -> None:
    """A value behind ``api_key=`` goes; the name stays for the reader, in plain text and in JSON text."""
    assert redacted("API_KEY=Zx81Spectrum48k ok") == "API_KEY=<KEY> ok"
    assert json.loads(redacted(json.dumps({"a": '{"password": "Zx81Spectrum48k"}'}))) == {"a": '{"password": "<KEY>"}'}


@given(
    st.lists(st.one_of(st.text(max_size=20), st.sampled_from([s for _, s in _CASES])), max_size=6),
    st.sampled_from(["", " ", "\n", '"', "\\", "\t"]),
)
def test_json_stays_json(pieces: list[str], between: str) -> None:
    """Whatever a message holds, its JSON text is JSON afterwards, with the same structure."""
    messages = [
        {"role": "user", "content": between.join(pieces)},
        {"role": "assistant", "content": [{"type": "text", "text": p} for p in pieces]},
    ]
    for ascii_only in (True, False):
        after = json.loads(redacted(json.dumps(messages, ensure_ascii=ascii_only)))
        assert [m["role"] for m in after] == ["user", "assistant"]
        assert [p.keys() for p in after[1]["content"]] == [{"type", "text"}] * len(pieces)


_WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([s for _, s in _CASES]),
    st.sampled_from(["phone", "customerPhone", "mobile_numbers", "password", "card", "<EMAIL>", "Zx81Spectrum48k", "4155551234", "\\d"]),
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**19), 10**19),
    st.sampled_from([4111111111111111, -4111111111111111, 378282246310005, 4155551234, 41555512340, 2.5e15]),
    _WORDS,
    st.tuples(_WORDS, _WORDS).map(" ".join),
)
#: JSON that also holds JSON as text, as the arguments of tool calls do.
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=4), inner.map(json.dumps)),
    max_leaves=12,
)


def _shape(value: Any) -> Any:
    """Return a JSON value without its names, strings and numbers."""
    if isinstance(value, dict):
        return ("object", *map(_shape, value.values()))
    if isinstance(value, list):
        return ["list", *map(_shape, value)]
    return value if value is None or isinstance(value, bool) else "value"


@settings(max_examples=400)
@given(st.one_of(st.lists(_JSON, max_size=4), st.dictionaries(_WORDS, _JSON, max_size=4)), st.booleans(), st.sampled_from([None, 1]))
def test_json_keeps_its_shape(value: Any, ascii_only: bool, indent: int | None) -> None:
    """Any JSON, with finds in names, strings, bare numbers and JSON inside strings, is JSON of the same shape afterwards."""
    after = redacted(json.dumps(value, ensure_ascii=ascii_only, indent=indent))
    assert _shape(json.loads(after)) == _shape(value)
    assert after.encode("utf-8")
    assert redacted(after) == after


@settings(max_examples=200)
@given(st.one_of(st.lists(_JSON, max_size=4), st.dictionaries(_WORDS, _JSON, max_size=4)), st.sampled_from([None, 1]))
def test_what_is_not_replaced_stays_byte_for_byte(value: Any, indent: int | None) -> None:
    """A find more in JSON text changes that string alone: escapes, spaces and numbers as they are written stay, so that prefixes match."""
    text = redacted(json.dumps({"a": value}, indent=indent))
    longer = redacted(json.dumps({"a": value, "b": "call +49 30 901820"}, indent=indent))
    assert longer.startswith(text.rstrip("}\n "))


def test_a_number_that_is_replaced_becomes_a_string() -> None:
    """A card as a bare number, in a message or in the arguments of a call, is a quoted mark; other numbers stay numbers."""
    called = [{"type": "tool_use", "input": {"card": 4111111111111111, "amount": 4111111111111112, "rate": -1.50e3}}]
    assert redacted(json.dumps(called)) == json.dumps(called).replace("4111111111111111", '"<CARD>"')
    inside = {"arguments": json.dumps({"card": 4111111111111111, "at": 1762160400000})}
    assert json.loads(json.loads(redacted(json.dumps(inside)))["arguments"]) == {"card": "<CARD>", "at": 1762160400000}


@pytest.mark.parametrize("name", ["phone", "Phone", "phone_number", "customerPhone", "contact.mobile", "tel", "fax", "MOBILE", "phones"])
@pytest.mark.parametrize("number", ["4155551234", "01701234567", 4155551234, "415 5551234", "+14155551234"])
def test_what_stands_under_the_name_of_a_telephone_is_its_number(name: str, number: str | int) -> None:
    """Digits that alone say nothing are a number under such a name, quoted or bare, in a list, and in JSON inside a string."""
    for value in ({name: number}, {name: [number, number]}, {"arguments": json.dumps({"a": {name: number}})}):
        marked = redacted(json.dumps(value))
        assert "<PHONE>" in marked
        assert not set(marked) & set(digits)
        assert _shape(json.loads(marked)) == _shape(value)


@pytest.mark.parametrize("card", PLANTED["<CARD>"])
def test_a_card_is_found_beside_other_digits(card: str) -> None:
    """The day on which it expires, its code, or a count before it do not hide a card."""
    assert redacted(f"{card} 12/27") == "<CARD> 12/27"
    assert redacted(f"{card} 123, 30 {card}") == "<CARD> 123, 30 <CARD>"


def test_a_card_is_found_behind_so_many_digits_that_they_may_be_its_own() -> None:
    """Years before a card, with which it has more digits than a card, do not hide it."""
    assert redacted("2024 4111 1111 1111 1111") == "2024 <CARD>"
    assert redacted("2024 2025 5555 5555 5555 4444 2026") == "2024 2025 <CARD> 2026"


@pytest.mark.parametrize("number", PLANTED["<PHONE>"])
def test_numbers_one_after_another_are_all_found(number: str) -> None:
    """A telephone number does not hide the next one, on the same line or the next; with a plus not even behind a space."""
    for between in (", ", "\n", " or ", *([" "] if number.startswith("+") else [])):
        assert redacted(between.join([number] * 3)) == between.join(["<PHONE>"] * 3)


def test_a_name_that_only_sounds_like_it_hides_nothing() -> None:
    """Hotels, cells of a sheet, dates, flags and other digits under other names stay."""
    value = {
        "hotel": "4155551234",
        "cell": "B12",
        "mobile": True,
        "tel": "2026-11-03",
        "intel": 41555512,
        "order": "4155551234",
        "fax": "n/a",
    }
    assert redacted(json.dumps(value)) == json.dumps(value)


def test_outside_json_a_quoted_name_says_it_too() -> None:
    """Python's text of a dict, and JSON that was cut off, hide the number under such a name."""
    assert redacted("{'phone': '4155551234', 'n': '4155551234'}") == "{'phone': '<PHONE>', 'n': '4155551234'}"
    assert redacted('{"args": "{\\"phone\\": \\"4155551234\\", ') == '{"args": "{\\"phone\\": \\"<PHONE>\\", '


def test_names_of_one_object_stay_different() -> None:
    """Addresses as names of an object become marks with numbers, so that no value is lost."""
    before = {"ann@example.com": 1, "bob@example.com": 2, "<EMAIL>": 3, "x": 4}
    assert json.loads(redacted(json.dumps(before))) == {"<EMAIL>": 1, "<EMAIL> 2": 2, "<EMAIL> 3": 3, "x": 4}


def test_the_name_of_a_telephone_may_be_one_word_or_of_another_language() -> None:
    """What databases and forms call it counts as well as its plain name."""
    for name in ("phonenumber", "PhoneNumber", "mobilephone", "celular", "teléfono", "telefono"):
        assert redacted(json.dumps({name: "1700 1234"})) == json.dumps({name: "<PHONE>"})


def test_an_escaped_address_goes_whole() -> None:
    """Letters, signs and slashes that JSON text writes as escapes belong to the address or number."""
    assert redacted(json.dumps(["an jörg.müller@firma.de"])) == '["an <EMAIL>"]'
    assert redacted(json.dumps({"ann@müller.de": None})) == '{"<EMAIL>": null}'
    assert redacted('["030\\/901820-15", "\\u002b49 30 901820"]') == '["<PHONE>", "<PHONE>"]'


@given(st.text(max_size=60), st.sampled_from(_CASES))
def test_redacting_twice_is_redacting_once(text: str, case: tuple[str, str]) -> None:
    """Marks are no finds, so that a redacted log may be redacted again."""
    once = redacted(f"{text} {case[1]} {text}")
    assert redacted(once) == once


def test_nothing_is_marked_in_the_sample() -> None:
    """In the first 3,000 requests of the sample, which holds no such data, no mark is set: false positives are none."""
    convert, marks = reader_named("litellm_payload").convert, Counter[str]()
    for found in itertools.islice(records(sample_folder() / "sample_log.jsonl.zst"), 3_000):
        row = convert(found.value or {}, Options())
        marks.update(m for name in ("messages", "response") for m in MARKS if m in redacted(row.get(name) or ""))
    assert not marks
