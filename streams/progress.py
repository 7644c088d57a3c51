"""The line that shows how far a scan has come: share read, posts, posts per second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from streams.clock import monotonic_s

EVERY_BYTES = 1 << 16
"""The bar moves at most once per so many bytes; drawing costs more than reading a line."""


class Bar:
    """A progress line on a terminal; silent where standard error is none."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._shown = 0
        self._begun_s = monotonic_s()

    def advance(self, consumed: int) -> None:
        """So many bytes were read so far."""
        if consumed - self._shown >= EVERY_BYTES:
            self._shown = consumed
            self._progress.update(self._task, completed=consumed)

    def posts(self, count: int) -> None:
        """So many posts were read so far."""
        rate = count / max(monotonic_s() - self._begun_s, 1e-3)
        self._progress.update(self._task, posts=f"{count:,} posts, {rate:,.0f}/s")

    def restart(self, why: str) -> None:
        """Begin again, and say why."""
        self._shown = 0
        self._progress.console.print(why, style="yellow", markup=False)
        self._progress.update(self._task, completed=0)

    def show(self, what: RenderableType) -> None:
        """Print above the line."""
        self._progress.console.print(what)


@contextmanager
def reading(console: Console, total_bytes: int | None) -> Iterator[Bar]:
    """A line for input of so many bytes; None if that is not known."""
    columns = (
        TextColumn("reading"),
        BarColumn(),
        TextColumn("{task.fields[posts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task("read", total=total_bytes, posts="0 posts"))
