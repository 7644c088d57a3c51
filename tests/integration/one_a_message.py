"""Posts sent one a message: many small batches, for tests that cut a replay off midway."""

from __future__ import annotations

from collections.abc import Sequence

from streams import archive, pipeline, replay
from streams.settings import Settings


def send(settings: Settings, records: Sequence[archive.Record], first: int, *, end: bool) -> None:
    """Send records to `posts` as messages `first`, `first` + 1, …, one post each, as replay does."""
    with replay.producing(settings) as sink:
        for partition in range(settings.partitions) if records else ():
            sink.send(b"", [(pipeline.PUNCTUATION, pipeline.BEGIN)], partition)
        for number, record in enumerate(records, first):
            headers = [(pipeline.FORMAT, record.format.encode())] if record.format else []
            sink.send(record.payload, headers, number % settings.partitions)
        if end:
            for partition in range(settings.partitions):
                sink.send(b"", [(pipeline.PUNCTUATION, pipeline.END)], partition)
