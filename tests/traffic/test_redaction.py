"""Redaction: what is planted is found, what only looks like it stays, JSON stays JSON."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from string import ascii_letters, digits

import pytest
from hypothesis import given
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
