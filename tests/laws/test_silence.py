"""All sources fall silent, say so, and then speak again faster than event time: nothing may be late."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import RULES, flooded, in_order, lines, packets, run

from detectors.baseline import Baseline
from streams.monitor import Monitor, Outcome
from streams.packets import Packet, pack
from streams.posts import Post

SOURCES = 4
EACH = 30
"""Posts of a source in one packet: more event time than the lateness."""


def stretch(posts: list[Post], starts: list[int]) -> Iterator[Packet]:
    """The posts dealt out to the sources in turn, in packets of a source after the other."""
    dealt = [posts[source::SOURCES] for source in range(SOURCES)]
    while any(dealt):
        for source in range(SOURCES):
            batch, dealt[source] = dealt[source][:EACH], dealt[source][EACH:]
            end = starts[source] + len(batch)
            numbered = [(starts[source] + at, post) for at, post in enumerate(batch)]
            yield pack(numbered, source, starts[source], end, 1)[0]
            starts[source] = end


def silence(starts: list[int], **said: bool) -> Iterator[Packet]:
    for source in range(SOURCES):
        end = starts[source] + said.get("ended", False)
        yield pack([], source, starts[source], end, 1, **said)[0]
        starts[source] = end


@pytest.mark.parametrize("said", [{}, {"idle": True}], ids=str)
def test_a_burst_after_a_silence_has_no_late_posts(said: dict[str, bool]) -> None:
    posts = [post for _, post in in_order(flooded())]
    half, starts, late, outcomes = len(posts) // 2, [0] * SOURCES, 0, list[Outcome]()
    monitor = Monitor(0, range(SOURCES), RULES, Baseline.prior())
    sent = [
        *stretch(posts[:half], starts),
        *(silence(starts, **said) if said else ()),
        *stretch(posts[half:], starts),
        *silence(starts, ended=True),
    ]
    for packet in sent:
        delta = monitor.plan(packet)
        late += delta.late_rows
        monitor.apply(delta)
        while (hop_ms := monitor.next_hop()) is not None:
            outcomes.append(monitor.assess(hop_ms))
            monitor.close(outcomes[-1])
    assert late == 0
    assert lines(outcomes) == lines(run(packets(in_order(flooded()))))
