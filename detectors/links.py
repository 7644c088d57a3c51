"""Do the accounts in question lead to one site, far above its share?"""

from __future__ import annotations

from typing import ClassVar, Final

from detectors.baseline import Baseline
from detectors.commonest import commonest
from detectors.contrast import Sides, contrast, copying
from detectors.finding import Finding, Verdict
from detectors.table import Window
from detectors.words import percent

LEAST_ACCOUNTS: Final = 20
SUSPICIOUS: Final = 1e-3
LEAST_LIFT: Final = 2.0
DOMAIN_SHARE: Final = 0.3


class Links:
    """The commonest site the accounts in question link to, against its share among the others' links.

    Over accounts, the first link of each; see `commonest`. By the prior the commonest site has 30 %.

    Effect: share of the accounts with a link that lead to the site, in [0, 1]. Abstains below 20 accounts in
    question with a link. Blind to shorteners, and a share button leads everybody to one site: it never
    accuses alone.
    """

    name: ClassVar[str] = "links"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge the copying accounts of one window; see the class."""
        return self.compare(window, baseline, copying(window))

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        both = contrast(window, sides, window.rows["domain"] != 0)
        count = len(both.suspects)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name, f"{count:,} {sides.who} posted a link; at least {LEAST_ACCOUNTS} are needed."
            )
        top = commonest(both, "domain", DOMAIN_SHARE)
        site = window.show(top.key)
        sentence = (
            f"{top.count:,} of {count:,} {sides.who} with a link ({percent(top.share)}) lead to {site}; among"
            f" the others it is {top.others:,} of {top.of_others:,}."
        )
        if top.p_value > SUSPICIOUS or top.share < LEAST_LIFT * top.expected:
            return Finding(self.name, Verdict.NORMAL, sentence, max(top.p_value, SUSPICIOUS), top.share)
        return Finding(
            self.name,
            Verdict.SUSPICIOUS,
            sentence,
            top.p_value,
            top.share,
            top.accounts,
            evidence={"domain": site},
        )
