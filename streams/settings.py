"""All settings, read once from the environment. A wrong one stops the start with a line that says which."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from detectors.alert import Policy
from detectors.assessment import FALSE_ALARMS, AssessmentPolicy
from streams.monitor import Rules

PREFIX: Final = "FLOODMARK_"
HOUR_S: Final = 3_600
EXPIRY_MARGIN_S: Final = HOUR_S
"""How much longer than a window, at the least, stored rows live: a worker may be restarted in between."""

_NOT_SETTINGS: Final = re.compile(r"FLOODMARK_(CASES|REQUIRE|TEST_.*)")
_RULES: Final = Rules()
_POLICY: Final = Policy()
_ASSESSMENT: Final = AssessmentPolicy()

Port = Annotated[int, Field(ge=0, le=65_535)]


class SettingsError(ValueError):
    """A setting that cannot be used; one line with its name, its value and what is allowed."""


class Settings(BaseSettings):
    """What a deployment can choose. Every name is that of the environment variable without ``FLOODMARK_``.

    Use `load`, which turns a wrong value into a `SettingsError`. docs/settings.md lists all of them.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    kafka_url: str = Field(
        "kafka://127.0.0.1:9092", description="kafka://host:port, several with ; between them"
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="redis://, rediss:// or unix:// URL of one Redis, or of one node of a cluster",
    )
    group: str = Field(
        "floodmark", pattern=r"^[A-Za-z0-9._-]+$", description="consumer group; letters, digits and . _ -"
    )
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="put before every topic's name; letters, digits and . _ -",
    )
    key_prefix: str = Field(
        "fm",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="first part of every Redis key; letters, digits and . _ -",
    )
    partitions: int = Field(4, ge=1, le=1_000, description="partitions the topics are created with")
    replication: int = Field(1, ge=1, le=10, description="copies the broker keeps of a topic")
    retention_bytes: int = Field(
        10 * 2**30, ge=2**20, description="bytes a partition of a topic may hold before its oldest go"
    )

    hop_s: int = Field(
        _RULES.hop_ms // 1_000, ge=1, le=HOUR_S, description="event time between two assessments"
    )
    window_s: int = Field(
        _RULES.window_ms // 1_000, ge=60, le=24 * HOUR_S, description="event time an assessment looks back on"
    )
    lateness_s: int = Field(
        _RULES.lateness_ms // 1_000,
        ge=0,
        le=HOUR_S,
        description="event time a post may come behind the newest",
    )
    max_ahead_s: int = Field(
        _RULES.max_ahead_ms // 1_000,
        ge=0,
        le=HOUR_S,
        description="wall time a post may be dated after the broker took it",
    )
    idle_s: int = Field(
        60, ge=1, le=24 * HOUR_S, description="wall time after which a silent partition is left out"
    )
    min_posts: int = Field(
        _RULES.min_posts, ge=1, le=1_000_000, description="posts a window needs to be assessed at all"
    )
    bucket_rows: int = Field(
        _RULES.bucket_rows,
        ge=10,
        le=10_000_000,
        description="rows of one hashtag and hop that are kept; of more a sample of accounts",
    )
    small_hashtags: int = Field(
        _RULES.small_hashtags,
        ge=1,
        le=1_000_000_000,
        description="hashtags with fewer posts that all partitions together hold, about 800 bytes each",
    )
    min_accounts: int = Field(
        _ASSESSMENT.min_accounts, ge=2, le=1_000_000, description="coordinated accounts an alert needs"
    )
    min_share: float = Field(
        _ASSESSMENT.min_share, ge=0, le=1, description="coordinated share an alert needs"
    )
    false_alarms: float = Field(
        FALSE_ALARMS, gt=0, le=1, description="false alarms a hashtag and day that p-values may allow"
    )
    bare_accounts: int = Field(
        _ASSESSMENT.bare_accounts,
        ge=2,
        le=1_000_000,
        description="accounts it needs where texts are all there is",
    )
    bare_texts: int = Field(
        _ASSESSMENT.bare_texts, ge=1, le=1_000, description="texts half of those accounts share, in that case"
    )
    hold_hops: int = Field(
        _POLICY.hold_hops, ge=1, le=1_000, description="hops the evidence holds before it fires"
    )
    calm_hops: int = Field(
        _POLICY.calm_hops, ge=1, le=10_000, description="calm hops after which it resolves"
    )

    baseline: str = Field("", description="file of `floodmark baseline learn` to begin with; none if empty")
    baseline_hours: int = Field(
        _RULES.baseline_hours, ge=0, le=8_784, description="completed hours the baseline is learnt from"
    )
    campaign_hours: int = Field(
        _RULES.campaign_hours,
        ge=0,
        le=8_784,
        description="hours an alert is remembered as part of a campaign",
    )

    batch_posts: int = Field(2_000, ge=1, le=100_000, description="payloads in one micro-batch at the most")
    batch_ms: int = Field(
        200, ge=1, le=60_000, description="wall time after which a smaller micro-batch goes"
    )
    max_dead_share: float = Field(
        0.5, gt=0, le=1, description="share of dead posts above which a worker stops"
    )
    dead_share_payloads: int = Field(
        1_000, ge=1, le=10_000_000, description="payloads over which that share is taken"
    )

    transactions: bool = Field(
        True, description="tell alerts in transactions of the broker; false for one that has none"
    )
    away_s: float = Field(
        120.0, gt=0, le=24 * HOUR_S, description="wall time to wait for a broker or Redis that is away"
    )
    redis_timeout_s: float = Field(5.0, gt=0, le=300, description="wall time to wait for Redis")
    state_expiry_s: int = Field(
        24 * HOUR_S, ge=60, le=365 * 24 * HOUR_S, description="wall time stored rows outlive their last write"
    )
    alert_expiry_s: int = Field(
        7 * 24 * HOUR_S, ge=HOUR_S, le=10 * 365 * 24 * HOUR_S, description="wall time an alert stays in Redis"
    )
    kept_alerts: int = Field(
        1_000, ge=1, le=10_000_000, description="entries of the alert stream in Redis, about 100 kB each"
    )

    metrics_host: str = Field("127.0.0.1", min_length=1, description="address the metrics are served on")
    metrics_port: Port = Field(6066, description="port the metrics are served on; 0: a free one")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least level that is logged"
    )

    @field_validator("kafka_url")
    @classmethod
    def _kafka(cls, value: str) -> str:
        for part in value.split(";"):
            matched = re.fullmatch(r"kafka://[^/:;@\s]+:(\d{1,5})", part)
            if not matched or not 1 <= int(matched[1]) <= 65_535:
                raise ValueError("must be kafka://host:port, with a port from 1 to 65535")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if not re.match(r"(rediss?|unix)://\S", value):
            raise ValueError("must start with redis://, rediss:// or unix://")
        try:
            urlsplit(value).port  # noqa: B018 - reading it is what checks it
        except ValueError:
            raise ValueError("must have a port from 0 to 65535, or none") from None
        return value

    @field_validator("hop_s")
    @classmethod
    def _hop(cls, value: int) -> int:
        # Hops must meet the full hours, by which the baseline is summed.
        if HOUR_S % value:
            raise ValueError("must divide an hour, 3600")
        return value

    @field_validator("window_s")
    @classmethod
    def _window(cls, value: int, info: ValidationInfo) -> int:
        hop_s = info.data.get("hop_s", 1)
        if value % hop_s:
            raise ValueError(f"must be a multiple of {PREFIX}HOP_S, {hop_s}")
        return value

    @field_validator("state_expiry_s")
    @classmethod
    def _expiry(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("window_s", 0) + info.data.get("lateness_s", 0) + EXPIRY_MARGIN_S
        if value < least:
            raise ValueError(f"must be at least window, lateness and an hour, {least}")
        return value

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Settings from the environment, those named here first; an override of None counts as not given.

        Raises
        ------
        SettingsError
            If a value cannot be used, or a variable that starts with ``FLOODMARK_`` is no setting.
        """
        _refuse_unknown(os.environ)
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            found = {**_from_environment(os.environ), **given}
            lines = [_line(problem["loc"], problem["msg"], found) for problem in error.errors()]
            raise SettingsError("; ".join(lines)) from None

    def rules(self) -> Rules:
        """What a monitor goes by."""
        return Rules(
            window_ms=self.window_s * 1_000,
            hop_ms=self.hop_s * 1_000,
            lateness_ms=self.lateness_s * 1_000,
            max_ahead_ms=self.max_ahead_s * 1_000,
            min_posts=self.min_posts,
            bucket_rows=self.bucket_rows,
            small_hashtags=self.small_hashtags,
            baseline_hours=self.baseline_hours,
            campaign_hours=self.campaign_hours,
            assessment=AssessmentPolicy(
                min_accounts=self.min_accounts,
                min_share=self.min_share,
                max_p_value=self.false_alarms / (24 * HOUR_S / self.hop_s),
                bare_accounts=self.bare_accounts,
                bare_texts=self.bare_texts,
            ),
            alert=Policy(hold_hops=self.hold_hops, calm_hops=self.calm_hops),
        )

    @property
    def kafka_servers(self) -> tuple[str, ...]:
        """The brokers as host:port."""
        return tuple(part.removeprefix("kafka://") for part in self.kafka_url.split(";"))

    @property
    def redis_address(self) -> str:
        """Where Redis is, without user and password, to be shown to people."""
        return without_password(self.redis_url)

    @property
    def posts_topic(self) -> str:
        """Raw payloads."""
        return f"{self.topic_prefix}posts"

    @property
    def rows_topic(self) -> str:
        """Packets of rows, partitioned by hashtag."""
        return f"{self.topic_prefix}rows"

    @property
    def alerts_topic(self) -> str:
        """Alerts as JSON, keyed by id, compacted."""
        return f"{self.topic_prefix}alerts"

    @property
    def baseline_topic(self) -> str:
        """Completed periods, partitioned as the rows, keyed by partition and end, compacted."""
        return f"{self.topic_prefix}baseline"

    @property
    def dead_topic(self) -> str:
        """Payloads that could not be read."""
        return f"{self.topic_prefix}posts.dead"


def variable(name: str) -> str:
    """The environment variable of a setting.

    >>> variable("hop_s")
    'FLOODMARK_HOP_S'
    """
    return PREFIX + name.upper()


def without_password(url: str) -> str:
    """A URL without its user and password.

    >>> without_password("redis://me:secret@example.org:6379/0")
    'redis://example.org:6379/0'
    """
    return re.sub(r"//.*@", "//", url)


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    # The case of a variable does not matter to pydantic-settings.
    return {
        name.upper().removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.upper().startswith(PREFIX)
    }


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    valid = [variable(name) for name in Settings.model_fields]
    for name in sorted(environ):
        known = name.upper()
        if not known.startswith(PREFIX) or known in valid or _NOT_SETTINGS.fullmatch(known):
            continue
        nearest = difflib.get_close_matches(known, valid, 1, cutoff=0)[0]
        raise SettingsError(f"{name} is no setting; the nearest that is: {nearest}")


def _line(loc: tuple[int | str, ...], message: str, found: Mapping[str, Any]) -> str:
    name = str(loc[0])
    if name not in Settings.model_fields:
        nearest = difflib.get_close_matches(name, list(Settings.model_fields), 1, cutoff=0)[0]
        return f"{name} is no setting; the nearest that is: {nearest}"
    value = found.get(name, Settings.model_fields[name].default)
    shown = without_password(value) if isinstance(value, str) else value
    allowed = message.removeprefix("Value error, ").replace("Input should", "should")
    return f"{variable(name)}={shown!r}: {allowed} ({Settings.model_fields[name].description})"
