"""Do few texts make many posts by many accounts?"""

from __future__ import annotations

from typing import ClassVar, Final

from detectors.baseline import Baseline
from detectors.finding import Finding, Verdict
from detectors.p_values import betabinomial_tail
from detectors.shares import COPIED, LEAST_PAIRS, copies, shares
from detectors.table import Window
from detectors.words import percent

SUSPICIOUS: Final = 0.01


class NearIdentical:
    """Share of (account, text) pairs that repeat another account's text, against organic copy rates.

    Reposts, empty and very short texts are left out; an account that repeats itself counts once. Of each
    near-identical group one account is its author, the others copy. Null: beta-binomial, because copy rates
    vary between conversations far more than a binomial would.

    Effect: copies over pairs, in [0, 1]. Abstains below 20 pairs. Blind to paraphrase, and it cannot tell a
    share button or a chorus from a campaign: it never accuses alone.
    """

    name: ClassVar[str] = "near_identical"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge one window; see the class."""
        found = shares(window)
        pairs = len(found.account)
        if pairs < LEAST_PAIRS:
            return Finding.abstained(
                self.name, f"Only {pairs:,} comparable texts of accounts; at least {LEAST_PAIRS} are needed."
            )
        groups = int(found.copied.sum())
        copying = copies(found.sharing)
        p_value = betabinomial_tail(copying, pairs, baseline.copies_alpha, baseline.copies_beta)
        copied = found.copied[found.group]
        rows = found.rows_of(copied)
        accounts = int(found.copiers.sum())
        sentence = (
            f"{groups:,} texts, each posted by at least {COPIED} accounts, make {int(rows.sum()):,} of"
            f" {len(window):,} posts ({percent(rows.mean())}) by {accounts:,} accounts."
            if groups
            else f"No text was posted by {COPIED} accounts or more."
        )
        suspicious = p_value <= SUSPICIOUS and groups > 0
        evidence = {"pairs": pairs, "copies": copying, "texts": groups}
        if not suspicious:
            return Finding(self.name, Verdict.NORMAL, sentence, p_value, copying / pairs, evidence=evidence)
        return Finding(
            self.name,
            Verdict.SUSPICIOUS,
            sentence,
            p_value,
            copying / pairs,
            found.accounts[found.copiers],
            window.posts(rows),
            evidence,
        )
