"""The report: complete, harmless, readable without anything else, and the same every time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from detectors.alert import Alert, Severity, State, Told
from detectors.assessment import AlertKind
from detectors.evidence import GAP_EDGES_S, AccountEvidence, Count, Evidence, TextEvidence
from detectors.finding import Verdict
from streams.charts import clients_chart, created_chart, gaps_chart, minutes_chart, svg
from streams.output import alert_json
from streams.report import FIRST_ACCOUNTS, MOST_IN_FULL, render, write

START_MS = 1_700_000_040_000
MINUTE_MS = 60_000
TOTALS = {
    "files": ["autumn.jsonl"],
    "posts": 52_345,
    "accounts": 20_312,
    "hashtags": 913,
    "rejects": 3,
    "starts_at": "2023-11-14T20:00:00Z",
    "ends_at": "2023-11-15T01:30:00Z",
}
EVIDENCE = Evidence(
    texts=(
        TextEvidence("0a", "Our choir sings tonight, do come", 420, 200, True, ("77001", "77002")),
        TextEvidence("0b", "جوقتنا تغني الليلة", 210, 150, False, ()),
    ),
    accounts=tuple(AccountEvidence(str(9000 + i), f"singer{i}", 7, 19_000 + i % 9, 0.75) for i in range(130)),
    minutes=tuple(Count(START_MS + m * MINUTE_MS, 30, 5) for m in range(90)),
    gaps=tuple(Count(int(edge), {4: 700, 5: 650, 1260: 800}.get(int(edge), 3), 6) for edge in [*GAP_EDGES_S]),
    created=(
        *(Count(19_000 + i, 40, 1) for i in range(9)),
        *(Count(15_000 + 40 * i, 0, 2) for i in range(90)),
    ),
    clients=(Count("Choir Poster", 2700, 40), Count("Phone", 0, 410)),
)
ALERT = Alert(
    id="00c0ffee00c0ffee",
    kind=AlertKind.FLOOD,
    state=State.FIRING,
    hashtag="harbour",
    starts_ms=START_MS,
    updated_ms=START_MS + 90 * MINUTE_MS,
    ends_ms=None,
    severity=Severity.CRITICAL,
    posts=3150,
    accounts=900,
    coordinated_posts=2700,
    coordinated_accounts=390,
    coordinated_share=0.8571,
    texts=2,
    off_topic=0.9,
    p_value=1e-300,
    score=85.7,
    sentence="390 of 900 accounts repeat 2 texts.",
    findings=(
        Told("links", Verdict.ABSTAINED, None, None, 0, 0, "Too few posts carry a link."),
        Told("client", Verdict.NORMAL, 0.31, 0.1, 0, 0, "No client stands out."),
        Told(
            "account_age", Verdict.SUSPICIOUS, 3.4e-9, 0.9, 360, 0, "360 accounts are of the same nine days."
        ),
    ),
    evidence=EVIDENCE,
    window_start_ms=START_MS,
    baseline="prior",
)


def parsed(alert: Alert = ALERT, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(alert_json(alert))
    return fields | changes


def with_evidence(**parts: Any) -> dict[str, Any]:
    fields = parsed()
    fields["evidence"] = fields["evidence"] | parts
    return fields


ALLOWED = re.compile(
    "html|head|meta|title|style|body|header|main|section|article|h[123]|p|small|ul|li|dl|div|dt|dd|table|thead|tbody"
    "|tr|th|td|span|i|b|bdi|a|details|summary|figure|figcaption|svg|g|path|rect|line|text"
)


class Page(HTMLParser):
    """Elements, attributes and visible text of a page as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._in_style = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture(scope="module")
def page() -> str:
    return render([parsed()], TOTALS)


def assert_harmless(page: str) -> None:
    read = Page(page)
    assert all(ALLOWED.fullmatch(tag) for tag, _ in read.elements)
    for tag, attributes in read.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "action", "srcset")
        ]
        assert (attributes.get("href") or "#").startswith("#"), (tag, attributes)
        assert "id" not in attributes or tag == "article", "ids of two charts could meet"
    assert not re.search(r"@import|url\(", page)


def test_page_needs_nothing_from_outside_and_runs_nothing(page: str) -> None:
    assert_harmless(page)
    policies = [
        a["content"] for tag, a in Page(page).elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert (policies[0] or "").startswith("default-src 'none'")
    assert "script-src" not in (policies[0] or "")


def test_page_says_what_was_read_and_found(page: str) -> None:
    text = Page(page).text
    for words in (
        "autumn.jsonl", "52,345", "20,312", "913", "2023-11-14 20:00 – 2023-11-15 01:30 UTC",
        "#harbour", "390 of 900 accounts repeat 2 texts.", "85.7 %", "2,700 of 3,150", "390 of 900",
        "p < 1e-12", "p = 3.4e-9", "Too few posts carry a link.", "Our choir sings tonight, do come",
        "singer0", "77001", "What this does not say",
    ):  # fmt: skip
        assert words in text, words


def test_suspicious_findings_come_first_and_abstained_ones_last(page: str) -> None:
    verdicts = [
        a["class"] for tag, a in Page(page).elements if tag == "li" and a.get("class") in set(Verdict)
    ]
    assert verdicts == ["suspicious", "normal", "abstained"]


def test_four_charts_are_drawn_and_named_for_screen_readers(page: str) -> None:
    charts = [a for tag, a in Page(page).elements if tag == "svg"]
    assert len(charts) == 4
    assert all(chart["role"] == "img" and len(chart["aria-label"] or "") > 40 for chart in charts)
    for title in (
        "Posts per minute",
        "Seconds between an account's posts",
        "Accounts per creation day",
        "Posts per client",
    ):
        assert title in Page(page).text


def test_charts_of_unknown_fields_say_why_they_are_missing() -> None:
    text = Page(render([with_evidence(gaps_s=[], created=[], clients=[])], TOTALS))
    assert text.count("svg") == 1
    assert "times are known to the minute only" in text.text
    assert "did not say when accounts were created" in text.text
    assert "did not name the clients" in text.text


def test_same_alerts_give_the_same_bytes(page: str) -> None:
    assert render([parsed()], TOTALS) == page


def test_field_order_of_the_json_does_not_matter(page: str) -> None:
    turned = dict(reversed(parsed().items()))
    assert render([turned], dict(reversed(TOTALS.items()))) == page


def test_page_says_on_what_an_alert_rests() -> None:
    alert = parsed(rests_on=["texts", "account_age", "client"])
    assert "rests on texts, account age, client" in Page(render([alert], TOTALS)).text
    assert "rests on" not in Page(render([parsed(rests_on=[])], TOTALS)).text


def test_hostile_texts_stay_texts() -> None:
    hostile = (
        "</td><script>alert(1)</script><img src=x onerror=alert(1)>\u202ereversed\u2066 &amp; \x1b[31m\u200b"
    )
    alert = parsed(hashtag=hostile, sentence=hostile, id=hostile, baseline=hostile)
    alert["findings"][2]["sentence"] = hostile
    evidence = alert["evidence"]
    evidence["texts"][0] |= {"text": hostile, "examples": [hostile]}
    evidence["accounts"][0] |= {"id": hostile, "handle": hostile}
    evidence["clients"][0]["client"] = hostile
    page = render([alert], TOTALS | {"files": [hostile]}, title=hostile)
    assert_harmless(page)
    assert page.count("&lt;script&gt;") >= 9
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x1b]", page)
    assert "reversed &amp;" in Page(page).text, "an entity in a text is shown as it was written"


def test_lone_surrogates_and_huge_texts_do_not_break_the_page() -> None:
    alert = with_evidence(
        texts=[
            {
                "group": "1",
                "text": "\ud800" + "long " * 2_000_000,
                "posts": 9,
                "accounts": 3,
                "coordinated": True,
                "examples": [],
            }
        ]
    )
    page = render([alert], TOTALS)
    assert "long long" in page
    assert len(page.encode()) < 300_000


def test_texts_of_strangers_choose_their_own_direction(page: str) -> None:
    assert re.search(r'<td class="words" dir="auto">جوقتنا', page)
    assert '<h2><bdi dir="auto">#harbour</bdi></h2>' in page


def test_accounts_beyond_the_first_hundred_are_folded_away(page: str) -> None:
    before, _, folded = page.partition("<details>")
    assert before.count("<bdi>singer") == FIRST_ACCOUNTS
    assert folded.count("<bdi>singer") == 30
    assert "130 of 390" in before


def test_page_without_alerts_says_so_and_what_was_looked_at() -> None:
    page = render([], TOTALS)
    assert_harmless(page)
    text = Page(page).text
    assert "Nothing was found" in text
    assert "52,345" in text
    assert Page(page).count("article") == 0


def test_stream_too_thin_to_assess_is_not_called_clean() -> None:
    assert "no hashtag had enough posts to be assessed" in Page(render([], {"windows": 0})).text
    assert "no hashtag shows enough evidence" in Page(render([], {"windows": 7})).text


def test_totals_that_are_unknown_are_left_out() -> None:
    text = Page(render([], {"posts": 0})).text
    assert "posts 0" in text
    assert "rejected" not in text


def test_alerts_beyond_the_twentieth_are_listed_and_counted() -> None:
    bare = replace(ALERT, evidence=Evidence())
    alerts = [parsed(bare, hashtag=f"tag{i}", id=f"{i:016x}", score=float(i)) for i in range(23)]
    page = Page(render(alerts, TOTALS))
    assert page.count("article") == MOST_IN_FULL
    assert "23 alerts; the 20 with the highest score are shown in full below, 3 are not" in page.text
    headings = re.findall(r"<h2><bdi[^>]*>#(\w+)", render(alerts, TOTALS))
    assert headings[0] == "tag22"
    assert headings[-1] == "tag3"
    assert "#tag0" in page.text


def test_last_line_of_an_alert_counts() -> None:
    text = Page(render([parsed(), parsed(state="resolved", ends_at="2023-11-15T00:00:00Z")], TOTALS))
    assert text.count("article") == 1
    assert "resolved" in text.text
    assert "firing" not in text.text


def test_unknown_off_topic_is_not_shown_as_a_number() -> None:
    assert "cannot be told" in Page(render([parsed(off_topic=None)], TOTALS)).text


def test_report_is_written_whole_or_not_at_all(tmp_path: Path, page: str) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    with pytest.raises(KeyError):
        write(target, [{"id": "broken"}], TOTALS)
    assert target.read_text() == "old"
    write(target, [parsed()], TOTALS)
    assert target.read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_gap_chart_names_both_peaks() -> None:
    drawn = svg(gaps_chart(parsed()["evidence"]["gaps_s"]))
    assert ">4–6 s<" in drawn
    assert ">21–22 min<" in drawn


def test_area_of_a_gap_bar_is_its_number_of_gaps() -> None:
    drawn = svg(
        gaps_chart(
            [{"from": 4, "coordinated": 100, "other": 0}, {"from": 1260, "coordinated": 100, "other": 0}]
        )
    )
    bars = re.findall(r'd="M[\d.,-]+h([\d.]+)v([\d.]+)h[^"]*" fill="#D55E00"', drawn.split("role-legend")[0])
    areas = [float(width) * float(height) for width, height in bars]
    assert len(areas) == 2
    assert areas[0] == pytest.approx(areas[1], rel=0.01)


def test_gap_without_upper_edge_is_drawn() -> None:
    drawn = svg(gaps_chart([{"from": 7200, "coordinated": 0, "other": 4}]))
    assert "4 gaps" in drawn


def test_long_span_is_drawn_in_longer_steps_and_says_so() -> None:
    minutes = [
        {
            "minute": f"2023-11-{14 + m // 1440:02}T{m // 60 % 24:02}:{m % 60:02}:00Z",
            "coordinated": 1,
            "other": 1,
        }
        for m in range(0, 1440, 3)
    ]
    assert "Posts per 10 minutes" in svg(minutes_chart(minutes))


def test_creation_days_over_years_are_also_shown_day_by_day() -> None:
    drawn = svg(created_chart(parsed()["evidence"]["created"]))
    assert "in steps of" in drawn
    assert "day by day" in drawn
    assert "40, and 1 others were created on 2022-01-" in drawn


def test_creation_days_of_one_season_are_one_chart() -> None:
    created = [{"day": f"2022-03-{day:02}", "coordinated": day, "other": 1} for day in range(1, 30)]
    assert "day by day" not in svg(created_chart(created))


def test_clients_beyond_the_tenth_are_left_out_and_equal_names_joined() -> None:
    clients = [{"client": f"client {i}", "coordinated": 100 - i, "other": 0} for i in range(12)]
    clients.append({"client": "client\u200b 0", "coordinated": 0, "other": 5})
    drawn = svg(clients_chart(clients))
    assert ">client 9<" in drawn
    assert ">client 10<" not in drawn
    assert ">105<" in drawn
