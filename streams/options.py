"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.scan_jobs import MOST_JOBS

Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_JOBS,
        help="Processes that assess, each its share of the hashtags, beside the one that reads. The results"
        " are the same. Worth it from some fifty thousand posts on; one hashtag alone is one process's work.",
    ),
]
