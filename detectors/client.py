"""Do the accounts in question post through one client, far above its share?"""

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
LEAST_LIFT: Final = 1.5


class Client:
    """The commonest client of the accounts in question, against its share among the window's others.

    See `commonest`; by the prior the commonest client has 35 % of the accounts.

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
        top = commonest(both, "client", baseline.client_share)
        client = window.show(top.key)
        sentence = (
            f"{top.count:,} of {count:,} {sides.who} ({percent(top.share)}) post through “{client}”; among"
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
            evidence={"client": client},
        )
