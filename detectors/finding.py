"""What a detector says of a window, and the protocol every detector follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Protocol

import numpy as np

from detectors.baseline import Baseline
from detectors.table import Keys, Window

SUSPICIOUS: Final = 1e-3
"""p-value up to which a detector calls something suspicious, unless its docs say otherwise."""

NO_KEYS: Keys = np.empty(0, np.uint64)
NO_KEYS.flags.writeable = False


class Verdict(StrEnum):
    """Abstaining means "cannot tell"; it is not a low score."""

    ABSTAINED = "abstained"
    NORMAL = "normal"
    SUSPICIOUS = "suspicious"


@dataclass(frozen=True)
class Finding:
    """One detector's answer for one window.

    Attributes
    ----------
    detector : str
        Name of the detector.
    verdict : Verdict
    sentence : str
        The answer in one plain sentence with its numbers, or why there is none.
    p_value : float in (0, 1] or None
        Chance of evidence this strong in a window without coordination; None when it abstained.
    effect : float or None
        Size of what was found, in the detector's own unit (its docstring says which).
    accounts, posts : uint64 arrays, sorted
        Keys of the accounts and posts the finding points at; empty unless suspicious.
    evidence : mapping
        JSON values that a sceptic can check the sentence against.
    """

    detector: str
    verdict: Verdict
    sentence: str
    p_value: float | None = None
    effect: float | None = None
    accounts: Keys = field(default_factory=lambda: NO_KEYS)
    posts: Keys = field(default_factory=lambda: NO_KEYS)
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def abstained(cls, detector: str, why: str) -> Finding:
        """A finding that says only why there is none."""
        return cls(detector, Verdict.ABSTAINED, why)

    @classmethod
    def judged(
        cls,
        detector: str,
        sentence: str,
        p_value: float,
        effect: float,
        *,
        large: bool,
        accounts: Keys = NO_KEYS,
        posts: Keys = NO_KEYS,
        evidence: Mapping[str, Any] | None = None,
    ) -> Finding:
        """Suspicious if the p-value is at most `SUSPICIOUS` and the effect large; else normal.

        A normal finding points at nobody, and its p-value is no smaller than `SUSPICIOUS`: what a large crowd
        makes certain and is small all the same must not weigh in the joint judgement.

        Parameters
        ----------
        large : bool
            Whether the effect is worth anything.
        accounts, posts, evidence
            What the finding points at if it is suspicious.
        """
        if p_value > SUSPICIOUS or not large:
            return cls(detector, Verdict.NORMAL, sentence, max(p_value, SUSPICIOUS), effect)
        return cls(detector, Verdict.SUSPICIOUS, sentence, p_value, effect, accounts, posts, evidence or {})


class Detector(Protocol):
    """A pure function from a window and the background to a finding."""

    name: ClassVar[str]

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window. Order and repetition of rows must not matter; unknown fields do not vote."""
        ...
