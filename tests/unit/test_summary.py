"""The terminal summary: aligned, and deaf to what strangers write into their posts."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from streams.summary import alert_panel, alerts_table, legible, moment, newest, span

FSI, PDI = "\u2068", "\u2069"
ARABIC = "جوقتنا تغني الليلة في الميناء القديم فتعالوا جميعا واسمعوا معنا"
TOTALS = {"files": ["a.jsonl", "b.jsonl"], "posts": 1234, "starts_at": "2023-11-14T20:00:00Z"}


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "kind": "flood",
        "state": "firing",
        "severity": "critical",
        "hashtag": "harbour",
        "starts_at": "2023-11-14T22:14:00Z",
        "updated_at": "2023-11-14T23:44:00Z",
        "ends_at": None,
        "posts": 3150,
        "coordinated_share": 0.8571,
        "p_value": 1e-300,
        "score": 85.7,
        "sentence": "390 of 900 accounts repeat 2 texts.",
        "findings": [
            {"detector": "client", "verdict": "suspicious", "p_value": 0.001, "sentence": "One client."},
            {"detector": "account_age", "verdict": "suspicious", "p_value": 1e-9, "sentence": "Nine days."},
            {"detector": "links", "verdict": "abstained", "p_value": None, "sentence": "No links."},
        ],
        "evidence": {
            "texts": [{"text": f"choir text {i}", "posts": 420 - i, "accounts": 200} for i in range(8)],
        },
    } | changes


def shown(renderable: RenderableType, width: int = 80, *, colours: bool = False) -> str:
    out = io.StringIO()
    Console(
        file=out, width=width, force_terminal=colours, color_system="standard" if colours else None
    ).print(renderable)
    return out.getvalue()


def test_panel_shows_sentence_share_largest_texts_and_strongest_findings() -> None:
    out = shown(alert_panel(alert()))
    assert "#harbour" in out
    assert "390 of 900 accounts repeat 2 texts." in out
    assert "flood · critical · firing · 85.7 % coordinated · p < 1e-12" in out
    assert "choir text 4" in out
    assert "choir text 5" not in out
    assert out.index("Nine days.") < out.index("One client.")
    assert "No links." not in out


def test_panel_without_texts_and_findings_is_still_a_panel() -> None:
    out = shown(alert_panel(alert(findings=[], evidence={"texts": []})))
    assert "390 of 900" in out
    assert "accounts  text" not in out


def test_table_ranks_by_score_and_says_what_was_read() -> None:
    out = shown(alerts_table([alert(score=10.0), alert(id="2", hashtag="bridge", score=90.0)], TOTALS))
    assert out.index("#bridge") < out.index("#harbour")
    assert "a.jsonl, b.jsonl" in out
    assert "posts 1,234" in out


def test_nothing_found_is_said_plainly() -> None:
    out = shown(alerts_table([], TOTALS))
    assert "Nothing was found: no hashtag shows enough evidence." in out
    assert "posts 1,234" in out


def test_stream_too_thin_to_assess_is_not_called_clean() -> None:
    assert "no hashtag had enough posts to be assessed" in shown(alerts_table([], {"windows": 0}))


def test_newest_line_of_an_alert_replaces_older_ones() -> None:
    assert [a["state"] for a in newest([alert(), alert(state="resolved")])] == ["resolved"]


@pytest.mark.parametrize(
    "attack",
    [
        "\x1b[2J\x1b[H",
        "\x1b]0;owned\x07",
        "\x1b]8;;http://example.org\x1b\\",
        "\x9b31m",
        "\x90q\x9c",
        "\x1bc",
        "\x08\x08\x7f\r",
        "\x1b",
    ],
)
def test_post_cannot_steer_the_terminal(attack: str) -> None:
    hostile = alert(hashtag=f"har{attack}bour", sentence=f"one{attack} two", kind="flood")
    hostile["evidence"]["texts"][0]["text"] = f"before{attack}after"
    hostile["findings"][0]["sentence"] = f"left{attack}right"
    out = shown(alert_panel(hostile)) + shown(alerts_table([hostile], {"files": [f"f{attack}.jsonl"]}))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out)
    for word in ("#har", "bour", "before", "after", "left", "right"):
        assert word in out, "nothing of the post is hidden either"


def test_markup_in_a_text_is_shown_as_written() -> None:
    hostile = alert(sentence="[red]not red[/red] [/] :smile:")
    out = shown(alert_panel(hostile), colours=True)
    assert "[red]not red[/red] [/] :smile:" in out


def test_right_to_left_lines_are_isolated_each_for_itself() -> None:
    arabic = alert(hashtag="قرض_الميناء", sentence=ARABIC)
    arabic["evidence"]["texts"][0]["text"] = ARABIC
    out = shown(alert_panel(arabic), width=44)
    lines = [line for line in out.splitlines() if re.search("[\u0600-\u06ff]", line)]
    assert len(lines) > 4, "the text is wrapped"
    for line in lines:
        assert line.count(FSI) == line.count(PDI) == 1
        assert line.index(FSI) < re.search("[\u0600-\u06ff]", line).start()  # type: ignore[union-attr]
        assert not re.search("[\u0600-\u06ff0-9│|]", line[line.index(PDI) :]), "nothing follows the text"


def test_narrow_terminal_keeps_every_column() -> None:
    out = shown(alerts_table([alert(kind="amplification")], TOTALS), 60)
    for words in ("86 %", "amplification", "2023-11-14", "#harbour", "3,150"):
        assert words in out, words


@pytest.mark.parametrize("width", range(50, 100, 7))
def test_isolates_are_closed_at_every_width(width: int) -> None:
    arabic = alert(hashtag="قرض_الميناء_القديم_على_البحر", sentence=ARABIC)
    out = shown(alerts_table([arabic], TOTALS), width) + shown(alert_panel(arabic), width)
    assert FSI in out
    assert all(line.count(FSI) == line.count(PDI) for line in out.splitlines())


def test_left_to_right_texts_carry_no_isolates() -> None:
    assert FSI not in shown(alert_panel(alert()))


def test_right_to_left_hashtags_do_not_shift_the_columns() -> None:
    table = alerts_table([alert(hashtag="قرض"), alert(id="2", hashtag="bridge")], TOTALS)
    header, *rows = shown(table).splitlines()[:3]
    assert [cell_len(row[: row.index("#")]) for row in rows] == [header.index("hashtag")] * 2


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit_the_terminal(width: int) -> None:
    wide = alert(hashtag="x" * 300, sentence="界" * 700)
    out = shown(alert_panel(wide), width) + shown(alerts_table([wide], TOTALS), width)
    assert max(cell_len(line) for line in out.splitlines()) <= width


def test_bidirectional_overrides_and_invisible_characters_go() -> None:
    assert legible("a\u202eb\u2066c\u2069d\u200be\ufefff\u00adg\U000e0041h") == "abcdefgh"


def test_joiners_of_persian_and_emoji_stay() -> None:
    assert legible("می\u200cخواهم 👩\u200d🚀") == "می\u200cخواهم 👩\u200d🚀"
    assert legible("a" + "\u200d" * 500 + "b") == "a\u200db"


def test_piles_of_marks_are_cut() -> None:
    assert legible("e" + "\u0301" * 50 + "x") == "e\u0301\u0301\u0301x"


def test_cut_text_ends_in_an_ellipsis_and_is_no_longer_than_asked() -> None:
    assert legible("choir " * 100, 20) == "choir choir choir c…"
    assert len(legible("\x1b[31m" * 10_000_000 + "tail", 50)) <= 50


def test_spans_name_the_day_once_and_unknown_ends_are_left_out() -> None:
    assert span("2023-11-14T20:00:00Z", "2023-11-14T21:30:05Z") == "2023-11-14 20:00 – 21:30:05 UTC"
    assert span("2023-11-14T23:00:00Z", "2023-11-15T01:00:00Z") == "2023-11-14 23:00 – 2023-11-15 01:00 UTC"
    assert span("2023-11-14T23:00:00Z", None) == "2023-11-14 23:00"
    assert moment("2023-11-14T23:00:00+02:00") == "2023-11-14 21:00"
