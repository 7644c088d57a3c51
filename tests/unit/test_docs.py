"""What the documentation says is true: its links, its commands, its lists of fields, pages and detectors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from detectors import DETECTORS
from detectors.alert import Alert, Severity, State, Told
from detectors.assessment import AlertKind
from detectors.evidence import AccountEvidence, Count, Evidence, TextEvidence
from detectors.finding import Verdict
from streams import formats
from streams.cli import app
from streams.monitor import Rules
from streams.output import alert_fields
from streams.posts import Post
from streams.scan import ACCOUNTS, POSTS, scan

ROOT: Final = Path(__file__).parent.parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS: Final = (".ci", "benchmarks", "deploy", "detectors", "docs", "streams", "tests")
OF_ONE_MACHINE: Final = re.compile(
    r"(?<![\w.}])/(?:work|root)\b"  # folders nobody else has
    r"|py(?:pi|thonhosted)\.(?:org|io)|(?:extra[-_])?index[-_]url"  # where one machine gets its packages
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def ours() -> Iterator[Path]:
    """Every text file of the project."""
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for folder in FOLDERS:
        yield from (
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        )


def anchors(page: Path) -> set[str]:
    """What a link to a place in a page may say after the #."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def commands() -> dict[str, Any]:
    found: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined] # it is a group
    return found


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are marked with a language; an empty one: with none."""
    found = re.findall(r"^```([a-z]*)\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)
    return [block for marked, block in found if marked == language]


def shown_commands(page: Path) -> Iterator[str]:
    """Command lines in code blocks and in running text, from the word after `floodmark` on."""
    for block in (*blocks(page, ""), *blocks(page, "sh")):
        yield from re.findall(r"^(?:\$ )?floodmark +([^#|>\n]*)", block.replace("\\\n", " "), re.MULTILINE)
    yield from re.findall(r"(?<!`)`floodmark +([^`\n]+)`(?!`)", read(page))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_shown_exist_and_have_the_options_shown(page: Path) -> None:
    for line in shown_commands(page):
        word, *rest = line.split()
        if word == "--help":
            continue
        assert word in commands(), f"floodmark {line}"
        command = commands()[word]
        if inner := getattr(command, "commands", {}):
            assert rest, f"floodmark {line}"
            assert rest[0] in {*inner, "--help"}, f"floodmark {line}"
            command = inner.get(rest[0], command)
        known = {option for parameter in command.params for option in parameter.opts}
        given = {part.partition("=")[0] for part in rest if part.startswith("-") and part != "-"}
        assert given <= known | {"--help"}, f"floodmark {line}"


def test_no_file_names_a_place_that_only_one_machine_has() -> None:
    found = [
        f"{name(path)}: {match[0]}"
        for path in ours()
        for match in OF_ONE_MACHINE.finditer(path.read_bytes().decode("utf-8", "replace"))
    ]
    assert not found


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", read(index))}
    assert {page for page in (ROOT / "docs").rglob("*.md") if page != index} <= listed


def test_every_detector_has_a_section() -> None:
    sections = re.findall(r"^## (\w+)$", read(ROOT / "docs" / "detectors.md"), re.MULTILINE)
    assert sections == [detector.name for detector in DETECTORS]


def an_alert() -> dict[str, Any]:
    """The fields of an alert in which every list has an entry."""
    count = Count(0, 1, 1)
    alert = Alert(
        id="0",
        kind=AlertKind.FLOOD,
        state=State.FIRING,
        hashtag="ferry",
        starts_ms=0,
        updated_ms=0,
        ends_ms=None,
        severity=Severity.WARNING,
        posts=1,
        accounts=1,
        coordinated_posts=1,
        coordinated_accounts=1,
        coordinated_share=1.0,
        texts=1,
        off_topic=None,
        p_value=1.0,
        score=0.0,
        sentence="",
        findings=(Told("bursts", Verdict.NORMAL, 1.0, 0.0, 0, 0, ""),),
        evidence=Evidence(
            texts=(TextEvidence("0", "", 1, 1, True, ("1",)),),
            accounts=(AccountEvidence("1", None, 1, None, 0.5),),
            minutes=(count,),
            gaps=(count,),
            created=(count,),
            clients=(count,),
        ),
        window_start_ms=0,
        baseline="",
    )
    decoded: dict[str, Any] = json.loads(json.dumps(alert_fields(alert)))
    return decoded


def shape(value: Any) -> Any:
    """The names of all fields, in order, without the values."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    return shape(value[0]) if isinstance(value, list) and value else None


def test_the_example_of_an_alert_has_the_fields_of_an_alert() -> None:
    (example,) = blocks(ROOT / "docs" / "output.md", "json")
    assert shape(json.loads(example)) == shape(an_alert())


def test_every_field_of_an_alert_is_explained() -> None:
    explained = set(re.findall(r"`(?:\w+\[\]\.|\.)?(\w+)`", read(ROOT / "docs" / "output.md")))
    fields = an_alert()
    inner = [key for part in ("window", "evidence") for key in fields[part]]
    assert {*fields, *inner, *fields["findings"][0]} <= explained


def test_the_examples_of_tables_have_the_columns_of_the_tables(tmp_path: Path) -> None:
    post = Post(id="1", account_id="2", time_ms=0, text="The ferry is late", hashtags=("ferry",))
    archive = tmp_path / "one.jsonl"
    archive.write_bytes(formats.encode(post) + b"\n")
    scan([str(archive)], tmp_path, Rules())
    first = [block.splitlines()[0] for block in blocks(ROOT / "docs" / "output.md", "")]
    headers = [line for line in first if not line.startswith("floodmark")]
    assert headers == [read(tmp_path / table).splitlines()[0] for table in (POSTS, ACCOUNTS)]
