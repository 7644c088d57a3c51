"""The JSON that leaves Floodmark: alerts and assessments, the same bytes from an archive and live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from detectors.alert import Alert, Told
from detectors.assessment import Assessment
from detectors.campaign import Campaign
from detectors.evidence import Count, Evidence, creation_date_ms
from streams.clock import iso

_ENCODER = msgspec.json.Encoder()


def alert_json(alert: Alert) -> bytes:
    """One alert as one JSON line without its newline; field order and number format never vary."""
    return _ENCODER.encode(alert_fields(alert))


def alert_fields(alert: Alert) -> dict[str, Any]:
    """An alert in the order of fields that docs/output.md describes; times are ISO 8601 UTC."""
    return {
        "id": alert.id,
        "kind": alert.kind,
        "state": alert.state,
        "hashtag": alert.hashtag,
        "starts_at": iso(alert.starts_ms),
        "updated_at": iso(alert.updated_ms),
        "ends_at": None if alert.ends_ms is None else iso(alert.ends_ms),
        "severity": alert.severity,
        **_figures(alert, alert.coordinated_posts, alert.coordinated_accounts),
        "findings": [_finding(told) for told in alert.findings],
        "window": {"start": iso(alert.window_start_ms), "end": iso(alert.updated_ms)},
        "baseline": alert.baseline,
        "campaign": _campaign(alert.own_campaign),
        "evidence": _evidence(alert.evidence),
    }


class _Order(msgspec.Struct):
    id: str
    starts_at: str
    hashtag: str


def latest(lines: Iterable[bytes]) -> tuple[bytes, ...]:
    """The last line of each alert, by start and then hashtag: one order, however partitions interleave."""
    newest: dict[str, tuple[_Order, bytes]] = {}
    for line in lines:
        order = msgspec.json.decode(line, type=_Order)
        newest[order.id] = (order, line)
    ranked = sorted(newest.values(), key=lambda pair: (pair[0].starts_at, pair[0].hashtag, pair[0].id))
    return tuple(line for _, line in ranked)


def assessment_json(assessment: Assessment) -> bytes:
    """One assessed window as one JSON line without its newline; findings without their lists."""
    return _ENCODER.encode(
        {
            "hashtag": assessment.hashtag,
            "window": {"start": iso(assessment.start_ms), "end": iso(assessment.end_ms)},
            "kind": assessment.kind,
            **_figures(assessment, *assessment.coordinated),
            "pattern": assessment.pattern,
            "findings": [_finding(Told.of(finding)) for finding in assessment.findings],
        }
    )


def _figures(of: Alert | Assessment, coordinated_posts: int, coordinated_accounts: int) -> dict[str, Any]:
    return {
        **({} if of.sampled == 1 else {"sampled": _significant(of.sampled)}),
        "posts": of.posts,
        "accounts": of.accounts,
        "coordinated_posts": coordinated_posts,
        "coordinated_accounts": coordinated_accounts,
        "coordinated_share": _round(of.coordinated_share),
        "texts": of.texts,
        "off_topic": _round(of.off_topic),
        "p_value": _significant(of.p_value),
        "q_value": _significant(of.q_value),
        "score": round(of.score, 2),
        "sentence": of.sentence,
        "rests_on": of.rests_on,
    }


def _finding(told: Told) -> dict[str, Any]:
    return {
        "detector": told.detector,
        "verdict": told.verdict,
        "p_value": _significant(told.p_value),
        "effect": _significant(told.effect),
        "accounts": told.accounts,
        "posts": told.posts,
        "sentence": told.sentence,
    }


def _campaign(campaign: Campaign) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "first_seen": iso(campaign.origin.first_ms),
        "joined_at": None if campaign.joined_ms is None else iso(campaign.joined_ms),
        "hashtags": campaign.hashtags,
        "alerts": campaign.alerts,
        "accounts_share": campaign.accounts_share,
        "texts_share": campaign.texts_share,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "texts": [msgspec.to_builtins(text) for text in evidence.texts],
        "accounts": [
            {
                "id": account.id,
                "handle": account.handle,
                "posts": account.posts,
                "created_at": None if account.created_day is None else date(account.created_day),
                "score": account.score,
            }
            for account in evidence.accounts
        ],
        "minutes": _counts(evidence.minutes, "minute", lambda key: iso(int(key))),
        "gaps_s": _counts(evidence.gaps, "from", int),
        "created": _counts(evidence.created, "day", lambda key: date(int(key))),
        "clients": _counts(evidence.clients, "client", str),
    }


def _counts(counts: Iterable[Count], name: str, show: Any) -> list[Mapping[str, Any]]:
    return [{name: show(c.key), "coordinated": c.coordinated, "other": c.other} for c in counts]


@lru_cache(maxsize=1 << 14)  # the same creation days in every alert
def date(day: int) -> str:
    """A creation day as ISO 8601."""
    return iso(creation_date_ms(day))[:10]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _significant(value: float | None) -> float | None:
    """Six significant digits: more than anybody checks, few enough to be the same on every machine."""
    return None if value is None else float(f"{value:.6g}")
