"""How findings say numbers, days and spans."""

from __future__ import annotations

from datetime import date

_EPOCH = date(1970, 1, 1).toordinal()


def day(days: int) -> str:
    """A day since 1970-01-01 as people write it.

    >>> day(16833)
    '2 February 2016'
    """
    when = date.fromordinal(_EPOCH + days)
    return f"{when.day} {when:%B} {when.year}"


def percent(share: float) -> str:
    """A share in per cent, with as many digits as it needs.

    >>> percent(0.901), percent(0.0042), percent(0.00001)
    ('90.1 %', '0.4 %', 'less than 0.1 %')
    """
    return "less than 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def seconds(first: int, last: int) -> str:
    """A span of seconds as people say it.

    >>> seconds(4, 5), seconds(1280, 1280), seconds(1279, 1281)
    ('4–5 s', '21 min 20 s', '21 min 19 s to 21 min 21 s')
    """
    if last < 120:
        return f"{first} s" if first == last else f"{first}–{last} s"
    return _minutes(first) if first == last else f"{_minutes(first)} to {_minutes(last)}"


def _minutes(value: int) -> str:
    minutes, rest = divmod(value, 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
