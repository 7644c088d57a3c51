"""What dashboards and web pages find in Redis of one assessed hashtag. Pure: values in, contents out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detectors.assessment import Assessment
from detectors.evidence import Count, Evidence, outline
from streams.clock import iso
from streams.monitor import TagOutcome
from streams.output import date


@dataclass(frozen=True, slots=True)
class Readable:
    """Contents of the reader keys of one hashtag, by key part; all values as Redis holds them.

    Attributes
    ----------
    hashes : part -> field -> value
        The part "" is the summary.
    rankings : part -> member -> score
    """

    hashes: Mapping[str, Mapping[str, str]]
    rankings: Mapping[str, Mapping[str, int]]


def readable(outcome: TagOutcome) -> Readable:
    """What readers are shown of one hashtag at one hop."""
    assessment = outcome.assessment
    evidence, estimated = _evidence(outcome), outcome.window.estimated

    def every(count: Count) -> int:
        return estimated(count.coordinated + count.other)

    return Readable(
        {
            "": summary(assessment),
            "intervals": {str(count.key): str(every(count)) for count in evidence.gaps},
            "created": {date(int(count.key)): str(every(count)) for count in evidence.created},
        },
        {
            "texts": {text.text: estimated(text.posts) for text in evidence.texts},
            "clients": {str(count.key): every(count) for count in evidence.clients},
        },
    )


def _evidence(outcome: TagOutcome) -> Evidence:
    assessment, alert = outcome.assessment, outcome.alert
    if alert is not None and alert.updated_ms == assessment.end_ms:
        return alert.evidence  # gathered from this very window when the alert was decided on
    return outline(outcome.window, assessment.coordinated_rows, assessment.coordinated_accounts)


def summary(assessment: Assessment) -> dict[str, str]:
    """The rolling figures of one hashtag; what there is none of is left out (sample, topic, pattern)."""
    coordinated_posts, coordinated_accounts = assessment.coordinated
    figures = {
        "posts": str(assessment.posts),
        "accounts": str(assessment.accounts),
        "coordinated_posts": str(coordinated_posts),
        "coordinated_accounts": str(coordinated_accounts),
        "coordinated_share": f"{assessment.coordinated_share:.4f}",
        "texts": str(assessment.texts),
        "score": f"{assessment.score:.2f}",
        "window_start": iso(assessment.start_ms),
        "window_end": iso(assessment.end_ms),
    }
    if assessment.sampled < 1:
        figures["sampled"] = f"{assessment.sampled:.6g}"
    if assessment.off_topic is not None:
        figures["off_topic"] = f"{assessment.off_topic:.4f}"
    if assessment.pattern is not None:
        figures["pattern"] = assessment.pattern.value
    if assessment.kind is not None:
        figures["kind"] = assessment.kind.value
    return figures
