"""What texts are compared, and where their signatures are kept."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.minhash import BANDS, bands, grams, signatures
from detectors.near_text import ANCHORS, _Answers, _candidates, _keys, _Shelf


@pytest.mark.parametrize("count", [1, 2, 50, 1_000, 1_001, 3_000])
def test_candidates_are_those_that_share_a_band_with_one_of_its_lowest(count: int) -> None:
    rng = np.random.default_rng(count)
    keys = rng.integers(0, 1 << 63, (BANDS, count)).astype(np.uint64) * np.uint64(2)
    for of_band in keys:
        copied = rng.integers(0, count, count // 3)
        of_band[copied] = of_band[rng.integers(0, count, len(copied)) // 4]
    wanted = set()
    for of_band in keys.tolist():
        by_key: dict[int, list[int]] = {}
        for at, key in enumerate(of_band):
            wanted |= {(anchor, at) for anchor in by_key.setdefault(key, [])[:ANCHORS]}
            by_key[key].append(at)
    for pieces in ([keys], [keys[:5], keys[5:]]):
        assert set(map(tuple, _candidates(pieces, count).tolist())) == wanted


def test_rows_of_signatures_are_used_again_and_hold_what_was_put_last() -> None:
    rng, shelf, held = np.random.default_rng(0), _Shelf(), dict[int, str]()
    for _ in range(300):
        new = sorted({int(n) for n in rng.integers(1, 10_000, rng.integers(0, 9))} - held.keys())
        texts = [f"what was put as number {node}" for node in new]
        before = shelf.nodes
        moved = shelf.put(np.array(new, np.uint64), texts)
        assert shelf.nodes[moved].tolist() == before.tolist()
        held.update(zip(new, texts, strict=True))
        gone = [node for node in sorted(held) if rng.random() < 0.2]
        before = shelf.nodes
        moved = shelf.drop(np.array(gone, np.uint64))
        assert before[moved < 0].tolist() == gone
        assert shelf.nodes[moved[moved >= 0]].tolist() == before[moved >= 0].tolist()
        for node in gone:
            del held[node]
    nodes = np.array(sorted(held), np.uint64)
    assert len(nodes) > 5
    assert shelf.nodes.tolist() == sorted(held)
    assert shelf.texts(nodes) == [held[node] for node in nodes.tolist()]
    rows = shelf.rows(shelf.places(nodes))
    assert len(shelf._values) < 200, "rows are used again"
    values = signatures(*grams(shelf.texts(nodes)))
    assert np.array_equal(np.concatenate(list(shelf.bands(rows))), bands(values).T)
    assert shelf.estimate(np.stack((rows, rows), axis=1)).tolist() == [1.0] * len(nodes)


def test_answers_follow_texts_to_their_places_and_go_with_them() -> None:
    rng, answers = np.random.default_rng(1), _Answers()
    nodes, known = list[int](), dict[tuple[int, int], bool]()
    for _ in range(200):
        more = sorted({*nodes, *map(int, rng.integers(0, 1_000, 8))})
        answers.move(np.searchsorted(more, nodes))
        nodes = [node for node in more if rng.random() < 0.8]
        kept = np.isin(more, nodes)
        answers.move(np.where(kept, np.cumsum(kept) - 1, -1))
        known = {pair: near for pair, near in known.items() if {*pair} <= {*nodes}}
        asked = sorted({tuple(sorted(pair)) for pair in rng.integers(0, len(nodes), (30, 2)).tolist()})
        keys = _keys(np.array(asked))
        pairs = [(nodes[one], nodes[other]) for one, other in asked]
        is_known, near = answers.of(keys)
        assert is_known.tolist() == [pair in known for pair in pairs]
        assert near.tolist() == [known.get(pair, False) for pair in pairs]
        new = ~is_known
        said = rng.random(int(new.sum())) < 0.5
        answers.put(keys[new], said)
        known.update(zip([pair for pair, fresh in zip(pairs, new, strict=True) if fresh], said, strict=True))
        assert len(answers) == len(known)
