"""Names of the Redis keys; docs/redis.md says what each holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartitionKeys:
    """Keys of one partition's state.

    The braces come before anything a stranger chose, so all of them share one slot of a Redis Cluster.

    >>> PartitionKeys("fm", 3).rows("loan", 60000)
    'fm:{3}:rows:loan:60000'
    """

    prefix: str
    partition: int

    def _key(self, name: str) -> str:
        return f"{self.prefix}:{{{self.partition}}}:{name}"

    @property
    def mark(self) -> str:
        """Hash: source partition -> next offset to come; also `writer`, `next` and `covered`."""
        return self._key("mark")

    @property
    def clock(self) -> str:
        """Hash: source partition -> its clock."""
        return self._key("clock")

    @property
    def hop(self) -> str:
        """String: the last assessed hop in ms."""
        return self._key("hop")

    @property
    def late(self) -> str:
        """Sorted set: hashtag by the hop that has to look at it again, because rows came late."""
        return self._key("late")

    @property
    def open(self) -> str:
        """Hash: hashtag -> its open alert."""
        return self._key("open")

    @property
    def full(self) -> str:
        """String: limits of full buckets by hashtag and bucket, msgpack."""
        return self._key("full")

    @property
    def tags(self) -> str:
        """Sorted set: bucket:hashtag by bucket; what rows there are."""
        return self._key("tags")

    @property
    def scored(self) -> str:
        """Sorted set: hashtags shown to readers by the hop of their score."""
        return self._key("scored")

    def rows(self, hashtag: str, bucket: int) -> str:
        """String: packed rows of one bucket."""
        return self._key(f"rows:{hashtag}:{bucket}")

    def texts(self, hashtag: str) -> str:
        """Hash: fingerprint in hexadecimal -> string."""
        return self._key(f"texts:{hashtag}")


@dataclass(frozen=True, slots=True)
class ReaderKeys:
    """Keys that dashboards and web pages read.

    >>> ReaderKeys("fm").tag("loan"), ReaderKeys("fm").tag("a:texts", "created")
    ('fm:tag:loan', 'fm:tag:a%3Atexts:created')
    """

    prefix: str

    @property
    def tags(self) -> str:
        """Sorted set: hashtag by its score."""
        return f"{self.prefix}:tags"

    @property
    def alerts(self) -> str:
        """Stream of alerts that fired, grew or resolved."""
        return f"{self.prefix}:alerts"

    @property
    def told(self) -> str:
        """Hash: partition -> last hop whose alerts are in the stream; in the slot of the stream."""
        return f"{{{self.prefix}:alerts}}:told"

    def hop(self, key: str) -> str:
        """The hop whose contents another key of this class holds: a string, or a hash by partition.

        In the slot of that key, so that one script reads and writes both.

        >>> ReaderKeys("fm").hop("fm:tag:loan")
        '{fm:tag:loan}:hop'
        """
        return f"{{{key}}}:hop"

    def alert(self, name: str) -> str:
        """String: one alert as JSON, by its id."""
        return f"{self.prefix}:alert:{name}"

    def tag(self, hashtag: str, part: str = "") -> str:
        """Hash of a hashtag's figures; with a part, its `texts`, `intervals`, `created` or `clients`.

        Signs that mean something in a key are percent-encoded: a hashtag named after another one's part
        would otherwise stop the worker.
        """
        safe = "".join(f"%{ord(sign):02X}" if sign in "%:{}" else sign for sign in hashtag)
        return f"{self.prefix}:tag:{safe}" + (f":{part}" if part else "")
