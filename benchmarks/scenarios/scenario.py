"""A stream of posts whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streams.posts import Post


class Coordinated(NamedTuple):
    """What one campaign sent, and through which accounts."""

    posts: frozenset[str]
    accounts: frozenset[str]


@dataclass(frozen=True)
class Scenario:
    """Posts in time order and the truth about them.

    Attributes
    ----------
    campaigns : by name
        Empty if nobody coordinates.
    hashtags : tuple of str
        Those that must raise an alert if there is a campaign, and are watched for false ones if not.
    flood_start_ms : int or None
        Time of the first coordinated post.
    kind : str or None
        The kind an alert must have: "flood" or "amplification"; None if either will do.
    """

    name: str
    posts: tuple[Post, ...]
    campaigns: Mapping[str, Coordinated]
    hashtags: tuple[str, ...]
    flood_start_ms: int | None = None
    kind: str | None = None

    @property
    def coordinated(self) -> Coordinated:
        """All campaigns as one."""
        parts = self.campaigns.values()
        return Coordinated(
            frozenset().union(*(part.posts for part in parts)),
            frozenset().union(*(part.accounts for part in parts)),
        )
