"""Do the accounts in question lead to one site, far above its share?"""

from __future__ import annotations

from typing import ClassVar, Final

from detectors.baseline import Baseline
from detectors.commonest import LEAST_ACCOUNTS, concentrated
from detectors.contrast import Comparing, Sides
from detectors.finding import Finding
from detectors.table import Window
from detectors.words import percent

LEAST_LIFT: Final = 2.0
DOMAIN_SHARE: Final = 0.3


class Links(Comparing):
    """The commonest site the accounts in question link to, against its share among the others' links.

    Over accounts, the first link of each; see `commonest`. Who copies a text copies its link, so accounts
    count by the number of texts they share. By the prior the commonest site has 30 %.

    Effect: share of the accounts with a link that lead to the site, in [0, 1]. Abstains below 20 accounts in
    question with a link. Blind to shorteners, and a share button leads everybody to one site: it never
    accuses alone.
    """

    name: ClassVar[str] = "links"

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        return concentrated(
            self.name,
            window,
            sides,
            "domain",
            prior_share=DOMAIN_SHARE,
            by_text=True,
            least_lift=LEAST_LIFT,
            few=lambda count: f"{count:,} {sides.who} posted a link; at least {LEAST_ACCOUNTS} are needed.",
            told=lambda top, site: (
                f"{top.count:,} of {top.total:,} {sides.who} with a link ({percent(top.share)}) lead to"
                f" {site}; among the others it is {top.others:,} of {top.of_others:,}."
            ),
        )
