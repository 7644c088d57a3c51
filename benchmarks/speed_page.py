"""What one run of `make bench` measured, as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks import speed_posts
from benchmarks.speed_checks import checks
from benchmarks.speed_limit import STEPS
from benchmarks.speed_live import Live
from benchmarks.speed_peers import JOBS, OURS, Job
from benchmarks.speed_profile import AROUND, READING, WRITING, Profile, Step
from benchmarks.speed_report import FULL, PROCESSES, SHORT, USUAL, Report, exponent, middle, spread
from benchmarks.speed_targets import LIVE_SHARE, Target, targets

LEAST_SHARE: Final = 0.005
"""Steps of less than that are shown together."""

TRIED: Final = (
    "So it is the same post judged again every minute, by twelve detectors, that costs. What was tried:",
    "",
    "- *Work that is done once*: texts are taken to pieces and compared when they come, and what came of it"
    " is kept in sorted arrays, where a window finds all of its pairs at once; what several detectors need of"
    " a window is worked out for the first.",
    "- *Asking less*: sets of accounts tied by how they act are looked at only where those tied by what they"
    " write are not enough, and hashtags in which nothing changed are not assessed.",
    "- *Whole arrays*: no step goes through the posts of a window one by one, rows are copied as bytes, and"
    " small windows are grouped in one piece.",
    "- *Cheaper arrays*: keys are sorted as plain numbers, with their place in the last bits where it is"
    " wanted, which numpy does with the processor's vector instructions; what nobody looks at is not made.",
    "- *Sums by minute*, which could be added up, do not do: what is compared is the accounts in question"
    " with the others, and who is in question is found anew in every window. Sums would have to be kept for"
    " every account.",
    "- *Many small windows*: their cost is that of some hundred calls of numpy each, whatever is in them.",
    "- *Small hashtags*: a post is written behind their bytes, and they are made whole when they are"
    " assessed. Together with other steps for them, a scan of 240,000 posts under 20,000 hashtags came from"
    " 152 to 92 µs a post.",
    "- *Partitions side by side* (docs/adr/0015): while one waits for the disk of Redis or for the broker,"
    " others are worked off. Before, the worker was idle for half of the time.",
    "- *One post a message* (docs/adr/0016): what one fetch brought goes through Faust in bundles. Before,"
    " such a post cost 176 µs of a worker's processor time, and after it 100 to 113.",
    "- *Larger micro-batches*: with 2,000 posts at the most, and not 500, a worker with more to do than it"
    " can spent 67 to 73 µs on a post with 50 a message, and not 87 to 91: there are fewer packets to count"
    " and to store.",
    "- *Memory of a window of 230,000 rows*: texts are held in sorted arrays and not in dictionaries,"
    " bands of signatures are looked at one by one, and the last window is let go of before the next is"
    " made. Before, ten million posts took 1,108 MiB at the most. A fixed `MALLOC_MMAP_THRESHOLD_`, which was"
    " tried before that, took a seventh of the memory away, but a scan of 12,000 posts cost 3 % more;"
    " Floodmark does not set it.",
)

_EXTENT: Final = {
    SHORT: "**A short run**: small files and one measurement each, to see that everything works. Its figures"
    " stand for nothing.",
    USUAL: "The largest files are left out; `make bench FULL=1` measures them too.",
    FULL: "All files, the largest once each.",
}


def page(report: Report, chart: str) -> str:
    """The results as Markdown, as far as there are any; `chart` is the name of the picture."""
    lines = [
        *_head(report, chart),
        *_table(
            "What is wanted, and what is",
            "What this run did not measure has no answer.",
            ("wanted", "how much", "measured", "met"),
            [_target(one) for one in targets(report)],
        ),
        *_limit(report),
        *_scan(report),
        *_shared(report),
        *_live(report),
        *_lag(report),
        *_bytes(report),
        *_memory(report),
        *_peers(report),
        *_profile(report),
        *_in_the_way(report),
        *_checked(report),
    ]
    return "\n".join(lines)


def _head(report: Report, chart: str) -> list[str]:
    load = " to ".join(f"{one:.1f}" for one in report.load)
    return [
        "# Speed and memory",
        "",
        f"Written by `{report.command}`; do not edit by hand.",
        "",
        _EXTENT[report.extent],
        "",
        f"Measured with {report.machine}. Runnable processes on the machine, averaged over a minute, before"
        f" and after: {load}. Of what was measured several times the median is given, with the least and the"
        " greatest. Cost is processor time where nothing else is said: other work on the machine makes it"
        " dearer, but by less than it does time on the wall.",
        "",
        *(line for note in report.notes for line in (note, "")),
        f"![Posts in a second, and the cost of a post over their number]({chart})",
        "",
    ]


def _target(one: Target) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "**no**"}[one.met]
    return one.what, one.wanted, one.measured or "not measured", met


def _limit(report: Report) -> list[str]:
    kinds = [kind for kind in (*speed_posts.KINDS, speed_posts.LIVE) if report.limits.get(kind)]
    rows = [
        (step, *(spread([one.steps_us[step] for one in report.limits[kind]], 1) for kind in kinds))
        for step in STEPS
    ]
    rows.append(("together", *(spread([one.us for one in report.limits[kind]], 1) for kind in kinds)))
    rows.append(
        ("posts/s and core", *(spread([1e6 / one.us for one in report.limits[kind]]) for kind in kinds))
    )
    return _table(
        "The bare loop",
        "Nothing but reading a file, decoding, the canonical text, its MinHash signature with the bands, and"
        " counting, with the project's own functions, a thousand posts at a time. Every post pays for every"
        " step. Microseconds a post. *One hashtag* is the rebuilt reference case in X's format, whose texts"
        " are Arabic; *many hashtags* and *live* are invented posts in Floodmark's own format.",
        ("step", *kinds),
        rows if kinds else [],
    )


def _scan(report: Report) -> list[str]:
    rows = [
        (
            size.kind,
            f"{size.posts:,}",
            f"{size.hashtags:,}",
            *(
                (
                    f"{size.scans[0].windows:,}",
                    str(size.scans[0].alerts),
                    spread([scan.seconds for scan in size.scans], 1),
                    spread([scan.us for scan in size.scans]),
                    f"{report.limit_us(size.kind) / size.us:.2f}",
                    spread([scan.peak_mib for scan in size.scans]),
                )
                if size.scans
                else ("", "", size.why, "", "", "")
            ),
        )
        for size in report.sizes
    ]
    told = [
        f"The first assessments are in their file {spread(report.first_output_s, 1)} s after"
        " `floodmark scan` is called."
    ]
    return _table(
        "`scan`, from file to files",
        "Assessed every minute of event time, all output written. *Of the bare loop*: the cost of a post"
        " there over its cost here.",
        (
            "posts of",
            "posts",
            "hashtags",
            "windows assessed",
            "alerts",
            "seconds",
            "µs a post",
            "of the bare loop",
            "peak memory, MiB",
        ),
        rows,
        [*_grown(report), *(told if report.first_output_s else [])],
    )


def _shared(report: Report) -> list[str]:
    rows = [
        (
            size.kind,
            f"{size.posts:,}",
            spread([scan.seconds for scan in size.shared], 1),
            f"{middle(one.seconds for one in size.scans) / middle(one.seconds for one in size.shared):.2f}",
        )
        for size in report.sizes
        if size.shared
    ]
    return _table(
        f"`scan --jobs {PROCESSES}`",
        f"The same files, scanned by {PROCESSES} processes beside one that reads; what is written is the"
        " same. One hashtag is one process's work, so only the reading is done beside it.",
        ("posts of", "posts", "seconds", "times as fast as one process"),
        rows,
    )


def _grown(report: Report) -> Iterator[str]:
    for kind in speed_posts.KINDS:
        sizes = report.of(kind)
        if len(sizes) > 1:
            power = exponent({size.posts: size.us for size in sizes})
            yield (
                f"From {sizes[0].posts:,} to {sizes[-1].posts:,} posts of {kind}, the cost of the whole scan"
                f" grows with the power {power:.2f} of their number; 1 is linear, 2 quadratic."
            )


def _live(report: Report) -> list[str]:
    limit_us = report.limit_us(speed_posts.LIVE)
    rows = [
        (
            str(number),
            f"{runs[0].posts:,}",
            str(runs[0].windows),
            spread([one.seconds for one in runs], 1),
            spread([one.posts_s for one in runs]),
            f"{middle(one.posts_s for one in runs) * limit_us / 1e6:.2f}",
            spread([one.us for one in runs]),
            spread([one.peak_mib for one in runs]),
        )
        for number, runs in _by_message(report)
    ]
    return _table(
        "The live worker",
        "One worker on one node of Apache Kafka and a Redis that waits for the disk with every write, all on"
        " this machine. The topic is filled before the worker starts; counted from when it has its partitions"
        " until everything is acknowledged, which Faust does once a second. The posts lie within twenty"
        " minutes, so that there are twenty hops however fast they are read.",
        (
            "posts a message",
            "posts",
            "windows assessed",
            "seconds",
            "posts/s",
            "of the bare loop",
            "µs a post in the worker",
            "peak memory of the worker, MiB",
        ),
        rows,
    )


def _by_message(report: Report) -> list[tuple[int, list[Live]]]:
    numbers = dict.fromkeys(one.per_message for one in report.live)
    return [(number, report.live_by(number)) for number in numbers]


def _lag(report: Report) -> list[str]:
    return _table(
        "From arrival to alert",
        "At half of what the worker took when it had more than it could do, the same posts at a steady rate:"
        " from the broker having the post that let the clock pass a hop, to the broker having the news."
        " What this holds and what it does not: [latency.md](latency.md).",
        ("posts a message", "posts/s", "news", "p50, ms", "p99, ms", "behind at the end, s"),
        [
            (
                str(one.per_message),
                f"{one.posts_s:,.0f}",
                str(one.news),
                f"{one.p50_ms:,.0f}",
                f"{one.p99_ms:,.0f}",
                f"{one.behind_s:.1f}",
            )
            for one in report.lags
        ],
    )


def _bytes(report: Report) -> list[str]:
    def a_post(runs: Sequence[Live], of: Callable[[Live], int]) -> str:
        return spread([of(one) / one.posts for one in runs])

    return _table(
        "Bytes a post",
        "Of the same live runs. All posts are still within their windows, so Redis holds all of them.",
        ("posts a message", "held by Redis", "sent to Redis", "in packets on `rows`", "posts in a packet"),
        [
            (
                str(number),
                a_post(runs, lambda one: one.redis_held_bytes),
                a_post(runs, lambda one: one.redis_sent_bytes),
                a_post(runs, lambda one: one.packet_bytes),
                spread([one.posts / one.packets for one in runs], 1),
            )
            for number, runs in _by_message(report)
        ],
    )


def _memory(report: Report) -> list[str]:
    rows = [
        (
            "as many hashtags",
            f"{many.count:,}",
            f"{many.held:,} hashtags, {many.bytes_each:,.0f} bytes each",
            f"{many.mib:,.0f} more",
            f"{many.peak_mib:,.0f} more",
        )
        for many in (report.hashtags, report.invented)
        if many is not None
    ]
    after = []
    if (hot := report.stream) is not None:
        held = f"up to {hot.rows:,} rows in a window"
        rows.append(("one hashtag", f"{hot.posts:,}", held, "", f"{hot.peak_mib:,.0f} in all"))
        each = hot.processor_s * 1e6 / hot.posts
        after.append(f"The one hashtag was assessed {hot.windows:,} times, and a post cost {each:.0f} µs.")
    return _table(
        "Memory, whatever comes",
        "Of one partition with nothing beside it. Of too many small hashtags the busiest are held"
        " (docs/adr/0014), of a hashtag with too many posts a sample of its accounts (docs/adr/0010).",
        ("posts under", "posts", "held", "memory in the end, MiB", "at the most, MiB"),
        rows,
        after,
    )


def _peers(report: Report) -> list[str]:
    ours = next((one.us for one in report.signed if one.library == OURS), None)
    signed = [
        (
            one.library,
            f"{one.texts:,}",
            one.why if one.us is None else f"{one.us:,.1f}",
            "" if one.us is None or not ours else f"{one.us / ours:.1f}",
        )
        for one in report.signed
    ]
    sizes = list(dict.fromkeys(one.posts for one in report.jobs))
    jobs = [(name, *(_job(report.jobs, name, posts) for posts in sizes)) for name in JOBS]
    return [
        *_table(
            "Others: signatures",
            "MinHash of the character 4-grams of canonical texts, as many values for all, with what it takes"
            " to hand the texts over; by each library's function for many texts at once. The texts are of"
            " many hashtags. Ours has the bands in it.",
            ("library", "texts", "µs a text", "times ours"),
            signed,
        ),
        *_table(
            "Others: whole jobs",
            "Seconds on the wall for posts of one hashtag. None of these does the same: a scan has twelve"
            " detectors, assesses every minute and writes everything down; the others look once for pairs of"
            " accounts that post equal or similar texts. Texts that are similar and up to two hours apart, as"
            " in the last row, are what a scan compares. The toolkit uses all cores.",
            ("job", *(f"{posts:,} posts" for posts in sizes)),
            jobs if report.jobs else [],
        ),
    ]


def _job(jobs: Sequence[Job], name: str, posts: int) -> str:
    one = next((job for job in jobs if (job.name, job.posts) == (name, posts)), None)
    if one is None:
        return "not tried"
    return one.why if one.seconds is None else f"{one.seconds:,.{2 if one.seconds < 1 else 1}f}"


def _profile(report: Report) -> list[str]:
    out: list[str] = []
    for kind, profile in report.profiles.items():
        scan = profile.scan
        out += _table(
            f"Where the time goes: {kind}",
            f"A scan of {scan.posts:,} posts with {scan.windows:,} assessments, every step timed by the"
            " processor time it takes itself. What detectors share, such as who shares texts with whom,"
            " counts for the one that asks first.",
            ("step", "times", "µs a post", "µs an assessment", "share, %"),
            [_step(step, profile) for step in _shown(profile)],
            [f"Not found, and so within other steps: {', '.join(profile.missing)}."]
            if profile.missing
            else [],
        )
        if profile.functions:
            every = sum(step.seconds for step in profile.steps)
            out += [
                "The functions with the most time of their own, from another scan of the same posts under"
                f" Python's profiler, which makes much-called ones look larger. Without it a scan took"
                f" {every:.1f} s.",
                "",
                *_rows(
                    ("function", "calls", "calls a post", "seconds"),
                    [
                        (
                            f"`{one.name}`",
                            f"{one.calls:,}",
                            f"{one.calls / scan.posts:,.1f}",
                            f"{one.seconds:.2f}",
                        )
                        for one in profile.functions
                    ],
                ),
                "",
            ]
    return out


def _in_the_way(report: Report) -> list[str]:
    said = [line for kind, profile in report.profiles.items() for line in _windows(report, kind, profile)]
    if not said:
        return []
    return ["## What stands between this and what is wanted", "", *said, *_worker(report), *TRIED, ""]


def _worker(report: Report) -> list[str]:
    """Where the time of the live worker goes, by what a scan of the same posts costs."""
    if not report.live_scan or not report.live:
        return []
    scan_us = middle(one.us for one in report.live_scan)
    wanted_us = report.limit_us(speed_posts.LIVE) / LIVE_SHARE
    parts = [
        f"with {number} a message {middle(one.us for one in runs):.0f} µs, for"
        f" {100 * middle(one.processor_s / one.seconds for one in runs):.0f} % of the time its processor is"
        " busy"
        for number, runs in _by_message(report)
    ]
    return [
        f"**Live**: a scan of the same posts costs {scan_us:.0f} µs a post. A worker costs {'; '.join(parts)}"
        ". It writes no files; what it has beside are Kafka's and Redis's clients and Faust. For"
        f" {LIVE_SHARE} of the bare loop a post may take {wanted_us:.0f} µs in all, waiting included.",
        "",
    ]


def _windows(report: Report, kind: str, profile: Profile) -> list[str]:
    limit_us = report.limit_us(kind)
    if not profile.judged:
        return []
    times, wanted = profile.judged / profile.scan.posts, LIVE_SHARE if kind == speed_posts.LIVE else 0.8
    judging = profile.us(*(step.name for step in profile.steps if step.name not in AROUND))
    named = f"A scan of {kind} posts" if kind == speed_posts.LIVE else kind.capitalize()
    return [
        f"**{named}**: a post is in {times:.0f} windows that are assessed. Judging it in one"
        f" costs {judging / times:.1f} µs, in all of them {judging:.0f} µs; reading it and making its row"
        f" costs {profile.us(*READING):.0f} µs and writing what was found {profile.us(*WRITING):.0f} µs."
        f" For {wanted} of the bare loop, what is beyond it may cost {limit_us / wanted - limit_us:.0f} µs a"
        " post.",
        "",
    ]


def _shown(profile: Profile) -> list[Step]:
    """The steps that count, and the others as one."""
    every = sum(step.seconds for step in profile.steps)
    small = [step for step in profile.steps if step.seconds < LEAST_SHARE * every]
    large = [step for step in profile.steps if step not in small]
    if not small:
        return large
    rest = Step(f"{len(small)} smaller steps", sum(s.calls for s in small), sum(s.seconds for s in small))
    return [*large, rest]


def _step(step: Step, profile: Profile) -> tuple[str, ...]:
    scan = profile.scan
    every = sum(one.seconds for one in profile.steps)
    return (
        step.name,
        f"{step.calls:,}",
        f"{1e6 * step.seconds / max(1, scan.posts):,.1f}",
        f"{1e6 * step.seconds / max(1, scan.windows):,.0f}",
        f"{100 * step.seconds / every:.1f}",
    )


def _checked(report: Report) -> list[str]:
    return _table(
        "What is checked",
        "Ratios of least costs, which `make bench` fails on; a small version is among the tests.",
        ("ratio", "measured", "at most", "kept"),
        [
            (one.name, f"{one.ratio:.2f}", f"{one.most:g}", "yes" if one.kept else "**no**")
            for one in checks(report)
        ],
    )


def _table(
    title: str,
    said: str,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    after: Sequence[str] = (),
) -> list[str]:
    """A section with a table; nothing if that has no rows."""
    if not rows:
        return []
    ends = [line for one in after for line in (one, "")]
    return [f"## {title}", "", said, "", *_rows(names, rows), "", *ends]


def _rows(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(names)} |",
        "|---" * len(names) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
