"""Do the accounts in question post through one client, far above its share?"""

from __future__ import annotations

from typing import ClassVar, Final

from detectors.baseline import Baseline
from detectors.commonest import LEAST_ACCOUNTS, concentrated
from detectors.contrast import Comparing, Sides
from detectors.finding import Finding
from detectors.table import Window
from detectors.words import percent

LEAST_LIFT: Final = 1.5


class Client(Comparing):
    """The commonest client of the accounts in question, against its share among the window's others.

    See `commonest`; by the prior the commonest client has 35 % of the accounts.

    Effect: share of the accounts in question that use it, in [0, 1]. Abstains below 20 of them with a known
    client. Blind to operators who send through the platform's own page as everybody does.
    """

    name: ClassVar[str] = "client"

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        return concentrated(
            self.name,
            window,
            sides,
            "client",
            prior_share=baseline.client_share,
            least_lift=LEAST_LIFT,
            few=lambda count: (
                f"The client of {count:,} {sides.who} is known; at least {LEAST_ACCOUNTS} are needed."
            ),
            told=lambda top, client: (
                f"{top.count:,} of {top.total:,} {sides.who} ({percent(top.share)}) post through “{client}”;"
                f" among the others it is {top.others:,} of {top.of_others:,}."
            ),
        )
