"""Near-identical groups are a function of the set of texts and their posts, of nothing else."""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np
import pytest
from builders import ARABIC_GOSSIP, FAN_TEXTS, GOSSIP, talk_text
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.near_text import TextIndex
from detectors.table import Texts
from detectors.text import fingerprint

APPEALS: Final = (
    "the council kept the report about the harbour bridge hidden for a whole year and nobody answers us",
    "people near the old station deserve honest answers about where the money for repairs has gone",
    "every citizen should ask today why our mayor keeps signing contracts with the same foreign company",
    "المجلس البلدي أخفى تقرير الجسر الجديد طوال السنة الماضية ولا أحد يريد الإجابة عن أسئلة السكان حتى اليوم",
)
"""Sixteen to eighteen words each, to be spun."""

_OTHER_WORDS: Final = ("kamor", "liten", "subra", "novel", "ridau", "pekosh", "ilgra", "stunwex", "pingzor")


def spun(text: str, rng: np.random.Generator, slots: float = 0.3, each: int = 3) -> str:
    """A template filled in: a fixed share of the places takes its own word or one of some others."""
    words = text.split()
    places = np.random.default_rng(len(text)).permutation(len(words))[: round(slots * len(words))]
    for place in places.tolist():
        choice = int(rng.integers(each + 1))
        if choice:
            words[place] = _OTHER_WORDS[(place + choice) % len(_OTHER_WORDS)] + chr(97 + place)
    return " ".join(words)


def edited(text: str, rng: np.random.Generator, edits: int) -> str:
    """A text with words dropped, swapped and put in."""
    words = text.split()
    for _ in range(edits):
        at, other = (int(n) for n in rng.integers(len(words), size=2))
        match int(rng.integers(3)):
            case 0:
                words.pop(at)
            case 1:
                words[at], words[other] = words[other], words[at]
            case _:
                words.insert(at, str(rng.choice(_OTHER_WORDS)))
    return " ".join(words)


def _variants() -> list[str]:
    rng = np.random.default_rng(7)
    out = ["GOOOAL", "yes", "!!!", ""]
    for text in (*GOSSIP[:4], *ARABIC_GOSSIP[:2], *(talk_text(rng) for _ in range(4))):
        words = text.split()
        out += [
            text,
            text.upper() + "!",
            f"{text} 🔥 #tag",
            " ".join(words[:-1]),
            " ".join([*words, "indeed"]),
        ]
        out += [" ".join(words[: len(words) - i]) for i in range(2, 5)]  # a chain that drifts away
    for text in APPEALS[1:]:
        out += [spun(text, rng, slots) for slots in (0.3, 0.5, 0.5)] + [edited(text, rng, 3)]
    return list(dict.fromkeys(out))


POOL: Final = _variants()
chosen = st.lists(st.sampled_from(POOL), min_size=1, max_size=40, unique=True)


def grouped(index: TextIndex, posts: dict[str, int]) -> Texts:
    ranked = sorted((fingerprint(text), count) for text, count in posts.items())
    prints, counts = zip(*ranked, strict=True)
    return index.texts(np.array(prints, np.uint64), np.array(counts, np.int64))


def indexed(*batches: list[str]) -> TextIndex:
    index = TextIndex()
    for batch in batches:
        index.add({fingerprint(text): text for text in batch})
    return index


@settings(max_examples=60, deadline=None)
@given(chosen, st.randoms(use_true_random=False), st.integers(0, 40))
def test_order_and_number_of_additions_do_not_matter(texts: list[str], random: Random, cut: int) -> None:
    posts = {text: random.choice((1, 1, 2, 9)) for text in texts}
    expected = grouped(indexed(texts), posts)
    mixed = random.sample(texts, len(texts))
    one_by_one = grouped(indexed(*([text] for text in mixed)), posts)
    halves = grouped(indexed(mixed[:cut], mixed[cut:], mixed), posts)
    for other in (one_by_one, halves):
        assert other.group.tolist() == expected.group.tolist()
        assert other.canonical == expected.canonical


@settings(max_examples=60, deadline=None)
@given(chosen, chosen, st.randoms(use_true_random=False))
def test_texts_added_and_forgotten_in_between_leave_no_trace(
    texts: list[str], others: list[str], random: Random
) -> None:
    posts = {text: random.choice((1, 2, 5)) for text in texts}
    expected = grouped(indexed(texts), posts)
    index = indexed(others, texts)
    grouped(index, posts | dict.fromkeys(others, 50))
    assert grouped(index, posts).group.tolist() == expected.group.tolist()
    index.forget([fingerprint(text) for text in others if text not in posts] + [12345])
    assert len(index) == len(texts)
    assert grouped(index, posts).group.tolist() == expected.group.tolist()
    index.add({fingerprint(text): text for text in others})
    assert grouped(index, posts).group.tolist() == expected.group.tolist()


@settings(max_examples=60, deadline=None)
@given(chosen, st.randoms(use_true_random=False))
def test_groups_are_numbered_by_falling_posts(texts: list[str], random: Random) -> None:
    posts = {text: random.randint(1, 20) for text in texts}
    found = grouped(indexed(texts), posts)
    count = dict.fromkeys(range(int(found.group.max()) + 1), 0)
    for print_, group in zip(found.fingerprint.tolist(), found.group.tolist(), strict=True):
        if group >= 0:
            count[group] += next(n for text, n in posts.items() if fingerprint(text) == print_)
    sizes = [count[number] for number in sorted(count)]
    assert sizes == sorted(sizes, reverse=True)
    assert all(sizes)


def test_wordings_of_one_message_are_one_group_and_messages_are_apart() -> None:
    texts = [f"{text}{tail}" for text in (*GOSSIP, *ARABIC_GOSSIP) for tail in ("", "!!", " 🔥 #tag")]
    found = grouped(indexed(texts), dict.fromkeys(texts, 1))
    assert len(set(found.group.tolist())) == len(GOSSIP) + len(ARABIC_GOSSIP)


def test_short_texts_are_in_no_group() -> None:
    found = grouped(indexed(POOL), dict.fromkeys(POOL, 3))
    short = {fingerprint(text) for text in ("GOOOAL", "yes", "!!!", "")}
    assert {
        g for f, g in zip(found.fingerprint.tolist(), found.group.tolist(), strict=True) if f in short
    } == {-1}


def chain_of(length: int) -> list[str]:
    """Texts of twelve words, each without the first word of the one before and with a new last one."""
    words = [f"word{chr(97 + i)}{chr(110 - i % 13)}" for i in range(length + 11)]
    return [" ".join(words[i : i + 12]) for i in range(length)]


def test_chain_that_drifted_is_cut() -> None:
    chain = chain_of(15)
    found = grouped(indexed(chain), {text: 15 - i for i, text in enumerate(chain)})
    group = dict(zip(found.fingerprint.tolist(), found.group.tolist(), strict=True))
    assert group[fingerprint(chain[0])] == group[fingerprint(chain[1])]
    assert group[fingerprint(chain[0])] != group[fingerprint(chain[-1])]


@pytest.mark.parametrize("text", APPEALS)
def test_spun_template_is_one_group(text: str) -> None:
    rng = np.random.default_rng(11)
    copies = list(dict.fromkeys(spun(text, rng) for _ in range(40)))
    assert len(copies) > 30
    found = grouped(indexed(copies), dict.fromkeys(copies, 1))
    assert set(found.group.tolist()) == {0}


@pytest.mark.parametrize("text", APPEALS)
def test_texts_with_words_dropped_swapped_and_put_in_are_one_group(text: str) -> None:
    rng = np.random.default_rng(12)
    copies = list(dict.fromkeys(edited(text, rng, int(rng.integers(1, 4))) for _ in range(40)))
    found = grouped(indexed(copies), dict.fromkeys(copies, 1))
    assert set(found.group.tolist()) == {0}


def test_template_of_which_half_the_words_vary_is_mostly_one_group() -> None:
    rng = np.random.default_rng(13)
    for text in APPEALS:
        copies = list(dict.fromkeys(spun(text, rng, 0.5) for _ in range(60)))
        found = grouped(indexed(copies), dict.fromkeys(copies, 1))
        assert np.bincount(found.group).max() >= 0.8 * len(copies)


def test_spun_templates_and_talk_of_one_hashtag_stay_apart() -> None:
    rng = np.random.default_rng(14)
    family = {spun(text, rng): i for i, text in enumerate(APPEALS) for _ in range(30)}
    talk = list(dict.fromkeys(talk_text(rng) for _ in range(600)))
    found = grouped(indexed(list(family), talk), dict.fromkeys((*family, *talk), 1))
    group = dict(zip(found.fingerprint.tolist(), found.group.tolist(), strict=True))
    families = [
        {group[fingerprint(text)] for text, i in family.items() if i == n} for n in range(len(APPEALS))
    ]
    assert all(len(one) == 1 for one in families)
    assert len(set.union(*families)) == len(APPEALS)
    others = [group[fingerprint(text)] for text in talk]
    assert not set(others) & set.union(*families)
    assert len(set(others)) >= 0.99 * len(talk)  # filled into six forms, a few come near each other


def test_different_messages_in_one_frame_stay_apart() -> None:
    """What a service posts about one thing after the other, and what people say when they mean the same."""
    texts = (
        "Ferry to the north pier is delayed by heavy rain",
        "Ferry to the old harbour is cancelled until noon",
        "I got my ticket for the first tram over the bridge today",
        "So happy, got my ticket for the very first tram, see you on Sunday",
        *FAN_TEXTS,
    )
    found = grouped(indexed(list(texts)), dict.fromkeys(texts, 1))
    assert len(set(found.group.tolist())) == len(texts)


def test_short_texts_must_be_nearly_equal() -> None:
    texts = [
        "the mayor hides our money again",
        "the mayor hides our money today",
        "the mayor hides our money again!",
    ]
    found = grouped(indexed(texts), dict.fromkeys(texts, 1))
    assert len(set(found.group.tolist())) == 2


def test_many_variants_of_one_text_are_compared_in_proportion_to_their_number() -> None:
    """A flood of variants must not cost the square of their number."""
    base = " ".join((*GOSSIP[0].split(), *GOSSIP[1].split()))
    texts = [f"{base} variant {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(400)]
    index = indexed(texts)
    found = grouped(index, dict.fromkeys(texts, 1))
    assert len(set(found.group.tolist())) == 1
    assert len(texts) <= len(index._answers) < 40 * len(texts)


def test_two_near_texts_are_one_group() -> None:
    pair = [GOSSIP[0], GOSSIP[0] + " indeed"]
    assert grouped(indexed(pair), dict.fromkeys(pair, 1)).group.tolist() == [0, 0]


def test_drifted_chain_is_cut_around_its_most_frequent_text() -> None:
    chain = chain_of(12)
    for heaviest in range(1, 11):
        posts = dict.fromkeys(chain, 1) | {chain[heaviest]: 50}
        found = grouped(indexed(chain), posts)
        group = dict(zip(found.fingerprint.tolist(), found.group.tolist(), strict=True))
        assert {group[fingerprint(chain[i])] for i in (heaviest - 1, heaviest, heaviest + 1)} == {0}
