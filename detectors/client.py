"""Do the accounts in question post through one client, far above its share?"""

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
LEAST_LIFT: Final = 1.5
PRIOR_ACCOUNTS: Final = 20
CONCENTRATION: Final = 5.0
"""How alike two communities under one hashtag are in their clients: the share in one, given that in the
other, is Beta with this sum of parameters. A country or a fandom may well use one kind of phone."""


class Client:
    """The commonest client of the accounts in question, against its share among the window's others.

    Beta-binomial tail over accounts (posts of one account depend on each other), corrected for the number of
    clients seen: communities differ in their clients, so the share of the others is only where that of the
    accounts in question is expected to lie. The others are joined by a prior worth 20 accounts in which the
    client has 35 %.

    Effect: share of the accounts in question that use it, in [0, 1]. Abstains below 20 of them with a known
    client. Blind to operators who send through the platform's own page as everybody does.
    """

    name: ClassVar[str] = "client"

    def assess(self, window: Window, baseline: Baseline) -> Finding:
        """Judge the copying accounts of one window; see the class."""
        return self.compare(window, baseline, copying(window))

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        both = contrast(window, sides, window.rows["client"] != 0)
        count = len(both.suspects)
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name,
                f"The client of {count:,} {sides.who} is known; at least {LEAST_ACCOUNTS} are needed.",
            )
        clients, counts = np.unique(both.suspects["client"], return_counts=True)
        top = int(np.argmax(counts))  # ties: the lowest fingerprint, whatever the order of rows
        using = int(counts[top])
        others = int((both.others["client"] == clients[top]).sum())
        expected = (others + PRIOR_ACCOUNTS * baseline.client_share) / (len(both.others) + PRIOR_ACCOUNTS)
        tail = betabinomial_tail(using, count, CONCENTRATION * expected, CONCENTRATION * (1 - expected))
        p_value = bounded(clients.size * tail)
        effect = using / count
        sentence = (
            f"{using:,} of {count:,} {sides.who} ({percent(effect)}) post through"
            f" “{window.show(clients[top])}”; among the others it is {others:,} of {len(both.others):,}."
        )
        if p_value > SUSPICIOUS or effect < LEAST_LIFT * expected:
            return Finding(self.name, Verdict.NORMAL, sentence, max(p_value, SUSPICIOUS), effect)
        accounts = both.suspects["account"][both.suspects["client"] == clients[top]]
        return Finding(
            self.name, Verdict.SUSPICIOUS, sentence, p_value, effect, np.sort(accounts),
            evidence={"client": window.show(clients[top])},
        )  # fmt: skip
