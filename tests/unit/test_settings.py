"""Settings: what is taken, what is refused and how that is said."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from streams.monitor import Rules
from streams.settings import Settings, SettingsError, variable

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FLOODMARK_")]:
        monkeypatch.delenv(name)


def test_defaults_are_those_of_the_policies() -> None:
    assert Settings.load().rules() == Rules()


def test_every_policy_field_can_be_set() -> None:
    rules = Settings.load(
        window_s=3_600,
        hop_s=30,
        lateness_s=10,
        max_ahead_s=5,
        min_posts=7,
        bucket_rows=900,
        small_hashtags=50_000,
        baseline_hours=24,
        campaign_hours=48,
        min_accounts=9,
        min_share=0.5,
        false_alarms=0.01,
        bare_accounts=20,
        bare_texts=5,
        hold_hops=4,
        calm_hops=3,
    ).rules()
    default = Rules()
    for name in Rules.__struct_fields__:
        assert getattr(rules, name) != getattr(default, name)
    for changed, policy in ((rules.assessment, default.assessment), (rules.alert, default.alert)):
        unchanged = [name for name, value in asdict(policy).items() if getattr(changed, name) == value]
        assert unchanged == [], "no setting reaches these"
    assert rules.window_ms == 3_600_000
    assert rules.assessment.min_share == 0.5
    assert rules.alert.calm_hops == 3
    assert rules.assessment.max_p_value == pytest.approx(0.01 * 30 / 86_400)


def test_the_environment_is_read_and_an_override_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODMARK_PARTITIONS", "12")
    monkeypatch.setenv("FLOODMARK_KEY_PREFIX", "")
    assert Settings.load().partitions == 12
    assert Settings.load(partitions=3).partitions == 3
    assert Settings.load(partitions=None).partitions == 12
    assert Settings.load().key_prefix == "fm"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("hop_s", "7", "must divide an hour, 3600"),
        ("hop_s", "0", "greater than or equal to 1"),
        ("window_s", "7201", "must be a multiple of FLOODMARK_HOP_S, 60"),
        ("window_s", "two hours", "valid integer"),
        ("min_share", "1.5", "less than or equal to 1"),
        ("false_alarms", "0", "greater than 0"),
        ("metrics_port", "70000", "less than or equal to 65535"),
        ("log_level", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("kafka_url", "localhost", "must be kafka://host:port"),
        ("kafka_url", "kafka://a:1;b:2", "must be kafka://host:port"),
        ("redis_url", "http://a", "must start with redis://"),
        ("key_prefix", "a{b}", "pattern"),
        ("state_expiry_s", "10919", "window, lateness and an hour, 10920"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    line = str(caught.value)
    assert line.startswith(f"{variable(name)}={value!r}: ")
    assert allowed in line
    assert "\n" not in line
    assert "pydantic" not in line
    assert caught.value.__suppress_context__


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOODMARK_HOP_S", "7")
    with pytest.raises(SettingsError, match=r"FLOODMARK_HOP_S='7'.*; FLOODMARK_IDLE_S=0: "):
        Settings.load(idle_s=0)


def test_a_long_window_asks_for_a_longer_expiry() -> None:
    with pytest.raises(SettingsError, match=r"FLOODMARK_STATE_EXPIRY_S=86400: must be at least .* 90120"):
        Settings.load(window_s=86_400)


@pytest.mark.parametrize("name", ["FLOODMARK_WINDOWS", "FLOODMARK_WINDOW", "floodmark_windw_s"])
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(
        SettingsError, match=rf"^{name} is no setting; the nearest that is: FLOODMARK_WINDOW_S$"
    ):
        Settings.load()


def test_an_unknown_override_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"^hops is no setting; the nearest that is: hop_s$"):
        Settings.load(hops=3)


@pytest.mark.parametrize("name", ["FLOODMARK_CASES", "FLOODMARK_REQUIRE", "FLOODMARK_TEST_ANYTHING"])
def test_variables_of_the_tests_are_no_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert Settings.load() == Settings()


def test_a_password_is_never_shown() -> None:
    settings = Settings.load(redis_url="redis://me:s3cret@example.org:6379/1")
    assert settings.redis_address == "redis://example.org:6379/1"
    with pytest.raises(SettingsError) as caught:
        Settings.load(redis_url="http://me:s3c/ret@example.org")
    assert not any("s3c" in shown for shown in (repr(settings), str(settings), str(caught.value)))


def test_settings_cannot_be_changed_later() -> None:
    settings: Any = Settings.load()
    with pytest.raises(ValueError, match="frozen"):
        settings.partitions = 5


def test_topics_and_brokers_follow_from_the_settings() -> None:
    settings = Settings.load(topic_prefix="lab.", kafka_url="kafka://a:1;kafka://b:22")
    assert settings.kafka_servers == ("a:1", "b:22")
    topics = (settings.posts_topic, settings.rows_topic, settings.alerts_topic, settings.dead_topic)
    assert topics == ("lab.posts", "lab.rows", "lab.alerts", "lab.posts.dead")
    assert settings.baseline_topic == "lab.baseline"


def test_the_document_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(FLOODMARK_\w+)` \| (.*?) \|", DOCUMENT.read_text("utf-8"), re.M)
    documented = {name: default.strip("`") for name, default in rows}
    assert len(rows) == len(documented)
    fields = Settings.model_fields.items()
    assert documented == {variable(name): str(field.default) or "empty" for name, field in fields}


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
