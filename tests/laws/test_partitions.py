"""Over how many partitions an archive is dealt out does not matter, however few posts each of them has."""

from __future__ import annotations

import pytest
from builders import flood, in_order, lines, packets, run, talk

from streams.posts import Post


def few() -> list[Post]:
    """Two hours in which one of eight partitions has no post for more than ten minutes now and then."""
    return [*talk(accounts=30), *flood(accounts=10)]


@pytest.mark.parametrize("sources", [8, 16])
def test_last_hop_of_partitions_with_few_posts_is_that_of_one_partition(sources: int) -> None:
    alone = run(packets(in_order(few())))
    spread = run(packets(in_order(few(), sources), sources=sources, size=lambda: 3), sources)
    assert lines(spread) == lines(alone)
