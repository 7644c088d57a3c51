"""The command `floodmark baseline learn`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from streams import archive, progress
from streams.options import Jobs
from streams.settings import Settings, variable

app = typer.Typer(
    name="baseline",
    help="What is ordinary, learnt from an archive: creation days, clients, followees, gaps, copies.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
if TYPE_CHECKING:
    from detectors.hour import Sums

_out = Console()
_err = Console(stderr=True)


@app.callback()
def _baseline() -> None:
    """Without it the one command of this group would take the group's place."""


@app.command()
def learn(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…", help="Archives of ordinary talk, .gz or .zst too; - is standard input."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[str | None, typer.Option(help="Format of all files. Found out if not given.")] = None,
    jobs: Jobs = 1,
) -> None:
    """Learn from an archive what is ordinary, for `floodmark scan --baseline` and for workers.

    Coordinated accounts are left out, and of each hashtag at most 200 accounts an hour count. Take an archive
    of the same platform and language, as large as you have.
    """
    from streams import baseline_file
    from streams import scan as scanning

    settings = Settings.load()
    with (
        tempfile.TemporaryDirectory(prefix="floodmark-learn-") as folder,
        progress.reading(_err, archive.total_bytes(files)) as bar,
    ):
        result = scanning.scan(
            files,
            Path(folder),
            settings.rules(),
            format=format,
            progress=bar.advance,
            posts=bar.posts,
            restarted=lambda why: bar.restart(f"{why}; sorting it on disk"),
            jobs=jobs,
        )
    if result.learnt.empty:
        raise baseline_file.UnusableBaseline(
            f"{', '.join(files)}: no post has a hashtag, so nothing is learnt; give archives in which some do"
        )
    baseline_file.write(out, result.learnt)
    _out.print(_said(result.totals.posts, result.learnt), markup=False)
    _out.print(
        f"learnt-{result.learnt.digest} is in {out}: use it with `floodmark scan --baseline {out}`,"
        f" or for workers with {variable('baseline')}",
        markup=False,
    )


def _said(posts: int, learnt: Sums) -> str:
    return (
        f"{posts:,} posts: {learnt.days.total:,} creation days, {learnt.clients.total:,} clients,"
        f" {learnt.following.total:,} numbers of followees, {learnt.gaps.total:,} gaps,"
        f" {learnt.copies[0]:,} copy rates; an account counts once for each hashtag and hour"
    )
