"""What copies may differ in, and what they may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.text import COMPARABLE_CHARS, READING_CHARS, canonical, fingerprint, key, letters, reading

any_text = st.text(max_size=200)
GOLDEN = {"loan": 0x7AEC7740ABCBEF82, "": 0x53E56572682DBC99, "جسر الميناء": 0x4AB102419609766E}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Vote now", "VOTE   NOW!!!"),
        ("Vote now", "vote\u200b n\u2060ow\u202e"),
        ("Vote now", "🔥 Vote now 🔥🔥 #vote #now"),
        ("Vote now", "@ann @bob vote now https://t.co/xyz"),
        ("Vote now", "Ｖｏｔｅ ｎｏｗ"),
        ("stage 7 of 21", "stage 12 of 22"),
        ("القِيَمُ والأخلاقُ", "القيم والاخلاق"),
        ("مـــبـــاراة", "مباراه"),
        ("إلى المدرسة", "الي المدرسه"),
    ],
)
def test_copies_that_differ_in_dress_are_the_same(one: str, other: str) -> None:
    assert canonical(reading(one)) == canonical(reading(other)) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("vote now", "vote never"), ("the ferry", "theferry"), ("سالم", "سليم"), ("a#b c", "a d")],
)
def test_different_messages_stay_different(one: str, other: str) -> None:
    assert canonical(reading(one)) != canonical(reading(other))


@given(any_text)
def test_reading_and_canonical_are_settled_after_one_step(text: str) -> None:
    read = reading(text)
    assert reading(read) == read
    assert canonical(canonical(read)) == canonical(read)
    assert len(read) <= READING_CHARS


@given(any_text)
def test_reading_text_holds_nothing_invisible_and_no_doubled_space(text: str) -> None:
    read = reading("a\u202e" + text)
    assert not set(read) & set("\u200b\u200f\u202a\u202e\u2066\ufeff\n\t")
    assert "  " not in read


def test_link_and_mention_hide_who_was_meant() -> None:
    assert reading("see @ann: https://a.example/1?x=2 and t.co/abc") == "see @…: [link] and [link]"


def test_endless_text_is_cut() -> None:
    assert len(reading("ab " * 100_000)) <= READING_CHARS


@given(any_text)
def test_fingerprint_is_never_zero_and_fits_in_64_bits(text: str) -> None:
    assert 0 < fingerprint(text) < 2**64
    assert fingerprint(text) == fingerprint(str(text))


def test_fingerprints_are_the_same_on_every_machine() -> None:
    assert fingerprint("loan") == GOLDEN["loan"]
    assert fingerprint("") == GOLDEN[""]
    assert fingerprint("جسر الميناء") == GOLDEN["جسر الميناء"]


def test_lone_surrogate_has_a_fingerprint() -> None:
    assert fingerprint("\ud800") != fingerprint("\ud801")


@given(st.integers(1, 10**19 - 1))
def test_key_of_a_platform_number_is_the_number(number: int) -> None:
    assert key(str(number)) == number


@pytest.mark.parametrize(
    "identifier", ["007", "", "12a", "-5", "٣٤", "did:plc:abc", "9" * 20, "18446744073709551616", "0"]
)
def test_key_of_any_other_id_is_its_fingerprint(identifier: str) -> None:
    assert key(identifier) == fingerprint(identifier)


def test_wide_letters_say_more() -> None:
    assert letters("港の橋が開く") == 18 >= COMPARABLE_CHARS
    assert letters("gooooal") < COMPARABLE_CHARS
    assert letters("") == 0
