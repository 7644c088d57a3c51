"""What copies may differ in, and what they may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given, settings
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
        ("أگلوا الخبز", "أکلوا الخبز"),
        ("vote now", "vote now 84 ❤️‍🔥 1️⃣ 🇸🇦"),
        ("vote now", "v0te n0w"),
        ("the cash is gone", "th3e ca$h is gone 365"),
        ("so we all love it", "soooo we all looove iiit"),
        ("nato and youtube", "ΝATO and ΥΟUTUBE"),
        ("thin circled boxed letters", "ᴛʜɪɴ ⓒⓘⓡⓒⓛⓔⓓ 🅱🅾🅧🅔🅓 𝐥𝐞𝐭𝐭𝐞𝐫𝐬"),
        ("piled marks", "p̷̢i̵l̶e̴d̷ ḿ̸ȧ̷r̶k̷s̸"),
        ("łódź naïve ñandú", "lodz naive nandu"),
        ("we s t o p today", "we s.t.o.p today"),
        ("שלום עולם", "שָׁלוֹם עוֹלָם"),
    ],
)
def test_copies_that_differ_in_dress_are_the_same(one: str, other: str) -> None:
    assert canonical(reading(one)) == canonical(reading(other)) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vote now", "vote never"),
        ("the ferry", "theferry"),
        ("سالم", "سليم"),
        ("a#b c", "a d"),
        ("की", "का"),  # a vowel is a mark there
        ("เสือ", "เสีย"),
        ("மலை", "மாலை"),
        ("かき", "がき"),
        ("кот", "тот"),
        ("мир", "мера"),
        ("νερό", "νέος"),
        ("谢谢", "谢"),
    ],
)
def test_different_messages_stay_different(one: str, other: str) -> None:
    assert canonical(reading(one)) != canonical(reading(other))


# What follows is how copies are disguised, as functions of a text and of a source of choices.
INVISIBLE = (
    "\u00ad\u034f\u061c\u200b\u200c\u200d\u200f\u202a\u202c\u202e\u2060\u2066\u2069\u3164\ufeff"
    "\U000e0041\U000e0101"
)
PILED = "\u0301\u0308\u0323\u0337\u0489\u20e3"
ARABIC_MARKS = "\u0640\u064b\u064e\u0651\u0652\u0670\u06d6"
EMOJI = ("🔥", "❤️", "👩‍👩‍👧", "🏽", "🇪🇬", "✅", "1️⃣", "🫠")
LOOKALIKES = {
    "a": "аαɑàå𝐚𝒶ⓐａᴀ", "b": "вβ𝖇ⓑʙ", "c": "сϲçᴄ", "d": "ԁďᴅ", "e": "еёεéᴇ", "h": "һнʜ",
    "i": "іιíɪı", "j": "јʝ", "k": "кκᴋ", "l": "łĺʟ", "m": "мᴍ𝓂", "n": "ոñɴ", "o": "оοօøσ", "p": "рρᴘ",
    "q": "ԛ", "r": "гʀř", "s": "ѕꜱš", "t": "тτᴛŧ", "u": "υսᴜü", "v": "νѵᴠ", "w": "ԝᴡ", "x": "хχ", "y": "уүγʏ",
    "z": "ᴢžζ",
}  # fmt: skip
"""Written down here and not read from the data that the code reads."""

CAPITALS = {
    "A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ",
    "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "УΥ", "Z": "Ζ",
}  # fmt: skip

MESSAGES = (
    "the council hides what our new bridge has cost, ask them tomorrow",
    "why does nobody say who bought the old harbour and with whose money",
)
ARABIC = "المجلس يخفي تكلفة الجسر الجديد عن السكان منذ عام كامل"

choices = st.randoms(use_true_random=False)
few = settings(max_examples=30, deadline=None)  # each looks at hundreds of letters
messages = st.sampled_from(MESSAGES)


def sprinkled(text: str, what: Sequence[str], choose: Random) -> str:
    return "".join(letter + "".join(choose.choices(what, k=choose.choice((0, 0, 1, 2)))) for letter in text)


def lookalike(text: str, table: Mapping[str, str], choose: Random) -> str:
    """Every word keeps a letter of its own."""

    def disguised(word: str) -> str:
        kept = choose.randrange(len(word))
        return "".join(
            choose.choice(table.get(letter, letter) + letter) if i != kept else letter
            for i, letter in enumerate(word)
        )

    return " ".join(map(disguised, text.split()))


@few
@given(messages, choices)
def test_invisible_characters_change_nothing(text: str, choose: Random) -> None:
    for message in (text, ARABIC):
        assert canonical(sprinkled(message, INVISIBLE, choose)) == canonical(message)
        assert canonical(reading(sprinkled(message, INVISIBLE, choose))) == canonical(message)


@few
@given(messages, choices)
def test_marks_that_pile_up_change_nothing(text: str, choose: Random) -> None:
    assert canonical(sprinkled(text, PILED, choose)) == canonical(text)
    assert canonical(sprinkled(ARABIC, ARABIC_MARKS, choose)) == canonical(ARABIC)


@few
@given(messages, choices)
def test_lookalikes_change_nothing(text: str, choose: Random) -> None:
    for table, message in ((LOOKALIKES, text), (CAPITALS, text.upper())):
        disguise = lookalike(message, table, choose)
        assert canonical(disguise) == canonical(text)
        assert canonical(sprinkled(disguise, INVISIBLE, choose)) == canonical(text)


def test_word_of_lookalikes_alone_is_the_word() -> None:
    assert canonical("сосо роре хох") == canonical("coco pope xox")


@few
@given(st.sampled_from((*MESSAGES, ARABIC)), choices)
def test_emoji_digits_hashtags_mentions_and_links_between_words_change_nothing(
    text: str, choose: Random
) -> None:
    added = (
        *EMOJI,
        "7",
        "4823",
        "٣٤",
        "#now",
        "#الآن",
        "#हिंदी",
        "@ann",
        "https://a.example/x?y=1",
        "!!",
        "…",
    )
    words = [
        part for word in text.split() for part in (word, *choose.choices(added, k=choose.choice((0, 1, 2))))
    ]
    assert canonical(reading(" ".join(words))) == canonical(reading(text))


@few
@given(st.sampled_from((*MESSAGES, ARABIC)), choices)
def test_letters_drawn_out_and_shouted_change_nothing(text: str, choose: Random) -> None:
    drawn = "".join(letter * choose.choice((1, 1, 1, 2, 5)) for letter in text)
    assert canonical(drawn) == canonical(drawn.upper()) == canonical(text)


@few
@given(
    messages, st.sampled_from((0x1D400, 0x1D434, 0x1D468, 0x1D5D4, 0x1D670, 0xFF21, 0x24B6, 0x1F150, 0x1F170))
)
def test_fancy_alphabets_change_nothing(text: str, first: int) -> None:
    fancy = text.upper().translate({ord("A") + i: first + i for i in range(26)})
    assert canonical(fancy) == canonical(text)


def test_every_character_is_settled_after_one_step() -> None:
    for code in (*range(0x3400), *range(0xA640, 0xABFF), *range(0xF900, 0x10000), *range(0x1D000, 0x1FB00)):
        for text in (chr(code), f"a{chr(code)}b"):
            once = canonical(text)
            assert canonical(once) == once, hex(code)


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
