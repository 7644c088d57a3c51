"""Which links are one page, and which say nothing of where they lead."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.links import SHORTENERS, host, page, site

STORY = "https://news.example/2016/bridge?id=7"


@pytest.mark.parametrize(
    "other",
    [
        "http://news.example/2016/bridge?id=7",
        "https://www.NEWS.example:443/2016/bridge/?id=7",
        f"{STORY}#comments",
        f"{STORY}&utm_source=x&UTM_Medium=social",
        "https://news.example/2016/bridge?fbclid=abc&id=7&gclid",
        "https://ann:secret@news.example./2016/bridge?&id=7&",
    ],
)
def test_links_that_open_one_page_are_one(other: str) -> None:
    assert page(other) == page(STORY) == "news.example/2016/bridge?id=7"
    assert site(other) == "news.example"


@pytest.mark.parametrize(
    "other",
    [
        "https://news.example/2016/bridge?id=8",
        "https://news.example/2016/Bridge?id=7",
        "https://old.news.example/2016/bridge?id=7",
        "https://news.example:8080/2016/bridge?id=7",
        "https://news.example/2016/bridge?id=7#!/live",
        "https://news.example/2016/bridge?id=7&utmost=1",
    ],
)
def test_links_that_may_open_another_page_stay_apart(other: str) -> None:
    assert page(other) != page(STORY)


def test_order_of_parameters_does_not_matter() -> None:
    assert page("https://a.example/?b=2&a=1") == page("https://a.example?a=1&b=2")


@pytest.mark.parametrize("name", sorted(SHORTENERS))
def test_shortened_link_has_no_site_and_is_itself(name: str) -> None:
    assert site(f"https://www.{name}/aB1") == ""
    assert page(f"https://{name}/aB1") == f"{name}/aB1" != page(f"https://{name}/ab1")


def test_host_that_ends_like_a_shortener_is_none() -> None:
    assert site("https://habit.ly/x") == "habit.ly"
    assert site("https://bit.ly.example/x") == "bit.ly.example"


@given(st.text(max_size=60) | st.lists(st.sampled_from(("www.", "w", ".", ":", "80", "/", "@"))).map("".join))
@example(":.")
@example("www.:80")
def test_any_string_has_a_page_and_it_is_settled(text: str) -> None:
    for link in (text, f"https://{text}"):
        assert page(f"x://{page(link)}") == page(link) or not host(link)
        assert page(f"{link}") == page(link)
