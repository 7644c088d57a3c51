"""What a link leads to, as far as it can be told without following it.

The same page is linked with other tracking parameters by every button that shares it, and on purpose by those
who do not want to be seen sending one link. What is left out here never decides which page opens.
"""

from __future__ import annotations

import re
from typing import Final

SHORTENERS: Final = frozenset(
    (
        "adf.ly", "bit.do", "bit.ly", "bitly.com", "bl.ink", "buff.ly", "clck.ru", "cutt.ly", "dlvr.it",
        "fb.me", "goo.gl", "ift.tt", "is.gd", "j.mp", "ln.is", "lnkd.in", "lnk.to", "ow.ly", "po.st", "rb.gy",
        "rebrand.ly", "s.id", "shorturl.at", "snip.ly", "t.co", "t.ly", "tiny.cc", "tinyurl.com", "tr.im",
        "trib.al", "u.to", "v.gd", "wp.me",
    )
)  # fmt: skip
"""Hosts that lead to any other: those of the large services that shorten for everybody and of the publishing
tools that shorten whatever they post. A newsroom's own short host says whose page it is and is not here."""

_TRACKING: Final = re.compile(
    "(?:utm_|mtm_|pk_|hsa_|at_)[^=]*(?:=|$)|"
    "(?:dclid|fbclid|gbraid|gclid|gclsrc|igsh|igshid|li_fat_id|mc_cid|mc_eid|mkt_tok|msclkid|ref_src|ref_url"
    "|ttclid|twclid|wbraid|yclid|ysclid|_hsenc|_hsmi|__twitter_impression|cmpid|ncid|smid|ocid)(?:=|$)",
    re.IGNORECASE,
)
"""Parameters that campaigns and click counters set; a page that reads one of them still is the same page."""

_AROUND: Final = re.compile(r"^(?:www\.)+(?=.)|(?:\.|:(?:80|443)?)+$")
"""What a host has without being another one: "www." and a default port, a last dot or an empty port."""


def host(link: str) -> str:
    """Host of a web address with its port, in small letters and without "www."; empty if it has none.

    >>> host("https://ann@WWW.Example.org:443/a?b#c"), host("see example.org")
    ('example.org', '')
    """
    authority = re.split("[/?#]", link.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].lower()
    return _AROUND.sub("", authority)


def site(link: str) -> str:
    """Host of the page that a link leads to; empty if that cannot be told, as with a shortened link.

    >>> site("https://news.example/a"), site("https://bit.ly/3xYz")
    ('news.example', '')
    """
    found = host(link)
    return "" if found in SHORTENERS else found


def page(link: str) -> str:
    """A link without what does not decide which page opens.

    Scheme, "www.", a default port, fragment, tracking parameters and the order of the others are gone. Small
    and capital letters of the path stay apart: shortened links differ in nothing else.

    >>> page("http://www.Example.org/Story/?b=2&utm_source=x&a=1#top")
    'example.org/Story?a=1&b=2'
    """
    found = host(link)
    if not found:
        return link
    address, _, fragment = link.partition("://")[2].partition("#")
    place, _, query = address.partition("?")
    path = place.partition("/")[2].rstrip("/")
    kept = sorted(part for part in query.split("&") if part and not _TRACKING.match(part))
    return "".join(
        (
            found,
            f"/{path}" if path else "",
            f"?{'&'.join(kept)}" if kept else "",
            f"#{fragment}" if fragment.startswith(("!", "/")) else "",  # how some sites name their pages
        )
    )
