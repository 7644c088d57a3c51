"""Were these accounts or texts seen flooding before?"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from detectors.baseline import Baseline
from detectors.campaign import Seen, text_prints
from detectors.contrast import Comparing, Sides
from detectors.finding import NO_KEYS, Finding
from detectors.keys import among, distinct_keys
from detectors.p_values import betabinomial_tail
from detectors.table import Window

LEAST_ACCOUNTS: Final = 10
LEAST_SEEN: Final = 5
LEAST_LIFT: Final = 3.0
PRIOR_ACCOUNTS: Final = 20
SEEN_SHARE: Final = 0.02
CONCENTRATION: Final = 5.0
MOST_NAMED: Final = 3


class Recycled(Comparing):
    """Accounts in question that belonged to earlier campaigns, against their share among the others.

    Asked of the alerts of completed periods: under other hashtags, or earlier ones under this. Beta-binomial
    tail around the share of the window's other accounts that were seen too, mixed with a prior worth 20
    accounts of which 2 % were: people who follow one subject meet again under its hashtags. Of large alerts a
    sample of accounts is remembered, the same on both sides.

    Effect: share of the accounts in question that were seen before, in [0, 1]. Abstains below 10 of them, and
    where no alert is known but the window's own. It repeats earlier judgements, right or wrong: it never
    accuses alone, and does not count in the joint judgement.
    """

    name: ClassVar[str] = "recycled"

    def compare(self, window: Window, baseline: Baseline, sides: Sides) -> Finding:
        """Judge any accounts of one window; see the class."""
        count = sides.suspects.size
        if not len(baseline.memory):
            return Finding.abstained(self.name, "No earlier campaign is known.")
        if count < LEAST_ACCOUNTS:
            return Finding.abstained(
                self.name, f"There are {count:,} {sides.who}; at least {LEAST_ACCOUNTS} are needed."
            )
        texts = text_prints(window, window.rows_by(sides.suspects))
        before = baseline.memory.seen(window.accounts, texts)
        met = distinct_keys(np.concatenate([NO_KEYS, *(one.accounts for one in before)]))
        accounts = met[among(met, sides.suspects)]
        others = int(among(met, sides.others).sum())
        expected = (others + PRIOR_ACCOUNTS * SEEN_SHARE) / (sides.others.size + PRIOR_ACCOUNTS)
        p_value = betabinomial_tail(
            accounts.size, count, CONCENTRATION * expected, CONCENTRATION * (1 - expected)
        )
        effect = accounts.size / count
        sentence = (
            f"{accounts.size:,} of {count:,} {sides.who} were coordinated before{_where(before)}; among the"
            f" others it is {others:,} of {sides.others.size:,}."
        )
        return Finding.judged(
            self.name,
            sentence,
            p_value,
            effect,
            large=accounts.size >= LEAST_SEEN and effect >= LEAST_LIFT * expected,
            accounts=accounts,
            evidence={"campaigns": [one.origin.alert for one in before][:MOST_NAMED]},
        )


def _where(before: tuple[Seen, ...]) -> str:
    tags = list(dict.fromkeys(tag for one in before for tag in one.hashtags))
    if not tags:
        return ""
    named = ", ".join(f"#{tag}" for tag in tags[:MOST_NAMED])
    more = len(tags) - MOST_NAMED
    return f" (under {named}{f' and {more} more' if more > 0 else ''})"
