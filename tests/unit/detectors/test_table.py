"""Rows as a window holds them: each post once, in one order, however they came."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from builders import post, table

from detectors import table as table_module
from detectors.table import ROW, Rows, distinct, fields, joined


def rows_of(*places: tuple[int, int, int]) -> Rows:
    """Rows of a number of a post, its second and its likes."""
    rows, _ = table(post(number, 1, second, "a text", likes=likes) for number, second, likes in places)
    rows["post"] = [number for number, *_ in places]
    return rows


@pytest.mark.parametrize(
    ("places", "kept"),
    [
        ([(1, 10, 0)], [(1, 0)]),
        ([(1, 10, 0), (2, 20, 0), (3, 20, 0), (4, 30, 0)], [(1, 0), (2, 0), (3, 0), (4, 0)]),
        ([(1, 10, 2), (1, 10, 1), (2, 20, 0)], [(1, 1), (2, 0)]),
        ([(1, 10, 1), (2, 15, 0), (1, 20, 1)], [(1, 1), (2, 0)]),
    ],
    ids=["one", "each once", "with other likes", "at another time"],
)
def test_each_post_is_there_once_in_the_order_of_time_and_post(
    places: list[tuple[int, int, int]], kept: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {distinct(rows_of(*came)).tobytes() for came in permutations(places)}
    monkeypatch.setattr(table_module, "_FEW", 0)
    found |= {distinct(rows_of(*came)).tobytes() for came in permutations(places)}
    (one,) = found
    rows = np.frombuffer(one, ROW)
    assert list(zip(rows["post"].tolist(), rows["likes"].tolist(), strict=True)) == kept


def test_fields_are_read_from_bytes_as_numpy_reads_them() -> None:
    rows = rows_of((2**63, 10, 2**32 - 1), (7, 20, 3))
    names = ROW.names or ()
    assert list(fields(*names).iter_unpack(rows.tobytes())) == rows.tolist()
    assert list(fields("likes", "post").iter_unpack(rows.tobytes())) == [(2**63, 2**32 - 1), (7, 3)]


def test_parts_are_joined_whatever_their_order_in_memory() -> None:
    rows = np.zeros(6, ROW)
    rows["post"] = np.arange(6)
    parts = [rows[:2], rows[::-1], rows[1::2], rows[:0]]
    assert joined(parts)["post"].tolist() == [0, 1, 5, 4, 3, 2, 1, 0, 1, 3, 5]
    assert len(joined([])) == 0
