"""Near-identical groups are a function of the set of texts and their posts, of nothing else."""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np
from builders import ARABIC_GOSSIP, GOSSIP, talk_text
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.near_text import TextIndex
from detectors.table import Texts
from detectors.text import fingerprint


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


def test_chain_that_drifted_is_cut() -> None:
    words = [f"word{chr(97 + i)}{chr(110 - i)}" for i in range(24)]
    chain = [" ".join(words[i : i + 12]) for i in range(12)]
    found = grouped(indexed(chain), {text: 12 - i for i, text in enumerate(chain)})
    group = dict(zip(found.fingerprint.tolist(), found.group.tolist(), strict=True))
    assert group[fingerprint(chain[0])] == group[fingerprint(chain[1])]
    assert group[fingerprint(chain[0])] != group[fingerprint(chain[-1])]


def test_many_variants_of_one_text_are_compared_in_proportion_to_their_number() -> None:
    """A flood of variants must not cost the square of their number."""
    base = " ".join((*GOSSIP[0].split(), *GOSSIP[1].split()))
    texts = [f"{base} variant {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(400)]
    index = indexed(texts)
    found = grouped(index, dict.fromkeys(texts, 1))
    assert len(set(found.group.tolist())) == 1
    compared = sum(map(len, index._near.values())) / 2
    assert compared < 40 * len(texts)


def test_two_near_texts_are_one_group() -> None:
    pair = [GOSSIP[0], GOSSIP[0] + " indeed"]
    assert grouped(indexed(pair), dict.fromkeys(pair, 1)).group.tolist() == [0, 0]


def test_drifted_chain_is_cut_around_its_most_frequent_text() -> None:
    words = [f"word{chr(97 + i)}{chr(110 - i)}" for i in range(24)]
    chain = [" ".join(words[i : i + 12]) for i in range(12)]
    for heaviest in range(1, 11):
        posts = dict.fromkeys(chain, 1) | {chain[heaviest]: 50}
        found = grouped(indexed(chain), posts)
        group = dict(zip(found.fingerprint.tolist(), found.group.tolist(), strict=True))
        assert {group[fingerprint(chain[i])] for i in (heaviest - 1, heaviest, heaviest + 1)} == {0}
