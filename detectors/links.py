"""Do the accounts in question lead to one site, far above its share?"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from detectors.baseline import Baseline
from detectors.contrast import Sides, contrast, copying
from detectors.finding import Finding, Verdict
from detectors.p_values import betabinomial_tail, bounded
from detectors.table import Window
from detectors.words import percent

LEAST_ACCOUNTS: Final = 20
SUSPICIOUS: Final = 1e-3
LEAST_LIFT: Final = 2.0
PRIOR_ACCOUNTS: Final = 20
DOMAIN_SHARE: Final = 0.3
CONCENTRATION: Final = 5.0


class Links:
    """The commonest site the accounts in question link to, against its share among the others' links.

    Over accounts, the first link of each. Beta-binomial tail around the others' share, mixed with a prior
    worth 20 accounts in which one site has 30 %, corrected for the number of sites seen.

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
        domains, counts = np.unique(both.suspects["domain"], return_counts=True)
        top = int(np.argmax(counts))  # ties: the lowest fingerprint, whatever the order of rows
        leading = int(counts[top])
        others = int((both.others["domain"] == domains[top]).sum())
        expected = (others + PRIOR_ACCOUNTS * DOMAIN_SHARE) / (len(both.others) + PRIOR_ACCOUNTS)
        tail = betabinomial_tail(leading, count, CONCENTRATION * expected, CONCENTRATION * (1 - expected))
        p_value = bounded(domains.size * tail)
        effect = leading / count
        sentence = (
            f"{leading:,} of {count:,} {sides.who} with a link ({percent(effect)}) lead to"
            f" {window.show(domains[top])}; among the others it is {others:,} of {len(both.others):,}."
        )
        if p_value > SUSPICIOUS or effect < LEAST_LIFT * expected:
            return Finding(self.name, Verdict.NORMAL, sentence, max(p_value, SUSPICIOUS), effect)
        accounts = both.suspects["account"][both.suspects["domain"] == domains[top]]
        return Finding(
            self.name,
            Verdict.SUSPICIOUS,
            sentence,
            p_value,
            effect,
            np.sort(accounts),
            evidence={"domain": window.show(domains[top])},
        )
