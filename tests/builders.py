"""Posts, windows and packets for tests of the analysis core. All texts are written for these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import cycle
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import DETECTORS
from detectors.baseline import Baseline
from detectors.campaign import Campaigns, Memory, Origin, Trace, sampled
from detectors.finding import Finding
from detectors.hour import Sums
from detectors.near_text import TextIndex
from detectors.table import DAY_MS, ROW, Flag, Keys, Kind, Rows, Texts, Window, distinct
from streams.monitor import Evicted, Monitor, Outcome, PartitionState, Rules, lockstep
from streams.output import alert_json, assessment_json
from streams.packets import Packet, pack
from streams.periods import Periods
from streams.posts import Post
from streams.store import Store

HASHTAG: Final = "harbour_bridge"
T0: Final = 1_469_563_200_000
"""26 July 2016, 20:00 UTC; a full hour."""

WINDOW_MS: Final = 7_200_000
TODAY: Final = T0 // DAY_MS

GOSSIP: Final = (
    "Striker Halvorsen refuses the captain's armband after a quarrel in the dressing room",
    "Our weekly football talk: who bought the goalkeeper and why nobody wants to say it",
    "Referee Duarte admits on air that the second penalty should never have been given",
    "The club doctor explains how long the young winger will be out with his torn muscle",
    "Listen again: the president of Rovers phones in and shouts at both our commentators",
    "Transfer desk: three left backs, two airports and a fax machine that broke at midnight",
    "Is the league table lying? Our statistician says Albion have been lucky six weeks running",
    "Former keeper Osei picks the worst own goals he has ever seen and laughs at his own one",
)
ARABIC_GOSSIP: Final = (
    "لاعب الوسط يرفض ارتداء شارة القيادة بعد خلاف داخل غرفة الملابس في الاستراحة",
    "برنامجنا الرياضي يناقش الليلة من اشترى حارس المرمى ولماذا يصمت رئيس النادي",
    "الحكم يعترف على الهواء بأن ركلة الجزاء الثانية لم تكن صحيحة على الإطلاق",
    "طبيب الفريق يشرح مدة غياب الجناح الشاب بعد إصابته القوية في العضلة الخلفية",
    "أستمع من جديد إلى مكالمة المدير الغاضبة مع المعلقين حول جدول المباريات",
    "ثلاثة مدافعين ومطاران وجهاز فاكس تعطل قبل منتصف الليل في سوق الانتقالات",
)
FAN_TEXTS: Final = (
    "thank you engineers and painters: our harbour bridge opening is the happiest day for eleven years",
    "we love the new span! copy this if you crossed our bridge with the schoolchildren and the trams",
    "the mayor praises our bridge and the ferry pilots celebrate, says my uncle, tomorrow maybe you too",
    "pedestrians, cyclists and neighbours: the bridge crosses the harbour for all of us, in heavy rain",
    "our lighthouse welcomes our bridge, the dockers celebrate and tourists photographs it at low tide",
)
"""Templates that fans of the bridge pass on: about the bridge, as their hashtag is."""

_SUBJECTS: Final = (
    "ferry", "bridge", "toll", "harbour", "mayor", "engineers", "cyclists", "traffic", "pilots", "dockers",
    "council", "steelwork", "opening", "ceremony", "pedestrians", "budget", "cables", "neighbours", "trams",
    "lighthouse", "contractors", "schoolchildren", "fishermen", "tourists", "surveyors", "painters",
)  # fmt: skip
_VERBS: Final = (
    "blocks", "welcomes", "delays", "measures", "photographs", "criticises", "repairs", "crosses", "praises",
    "forgets", "inspects", "doubles", "questions", "celebrates", "postpones", "calculates", "misses",
)  # fmt: skip
_TAILS: Final = (
    "before breakfast", "in heavy rain", "without asking anybody", "for eleven years", "on the north pier",
    "despite the promises", "with borrowed money", "near my grandmother's house", "at low tide",
    "according to the evening paper", "as usual", "while gulls watch", "under the new span", "tomorrow maybe",
    "and nobody paid", "because concrete cracks", "says my uncle", "during rush hour", "since Tuesday",
)  # fmt: skip
CLIENTS: Final = ("Web App", "Phone One", "Phone Two", "Tablet", "Desk Deck")
CLIENT_SHARES: Final = (0.25, 0.3, 0.25, 0.1, 0.1)
BAND: Final = TODAY - 170
"""First of the days on which the flood's accounts were created."""


_SYLLABLES: Final = (
    "ka",
    "mor",
    "li",
    "ten",
    "su",
    "bra",
    "no",
    "vel",
    "ri",
    "dau",
    "pek",
    "osh",
    "il",
    "gra",
)


def talk_text(rng: np.random.Generator) -> str:
    """What one person says under the hashtag, in words nobody else has used: half of it about the bridge."""
    a, b, c = rng.choice(_SUBJECTS, 3, replace=False)
    v, w = rng.choice(_VERBS, 2, replace=False)
    x, y = rng.choice(_TAILS, 2, replace=False)
    own = ["".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4)))) for _ in range(8)]
    one, other, third = " ".join(own[:2]), " ".join(own[2:5]), " ".join(own[5:])
    forms = (
        f"{one}: the {a} {v} our {b} {x}",
        f"{third} and I {w} {other} {y}, what about the bridge",
        f"why {one} {other}? because some {c} {w} {x}",
        f"{a} of the harbour {v} {third} {y} {one}",
        f"not {other} again, {one} {third} {x}",
        f"seen from the bridge {y}: {other} {v} {third}",
    )
    return forms[int(rng.integers(len(forms)))]


def ordinary(rng: np.random.Generator) -> dict[str, Any]:
    """Client and creation day of an account like any other."""
    return {
        "client": str(rng.choice(CLIENTS, p=CLIENT_SHARES)),
        "account_created_ms": int(rng.integers(TODAY - 3_400, TODAY)) * DAY_MS,
    }


def post(number: int, account: int, at_s: float, text: str, **fields: Any) -> Post:
    """One post `at_s` seconds after `T0`; `number` and `account` become its ids."""
    known: dict[str, Any] = {"hashtags": (HASHTAG,), "handle": f"user{account}"} | fields
    return Post(
        id=str(10**17 + number),
        account_id=str(10**6 + account),
        time_ms=T0 + round(at_s * 1000),
        text=text,
        **known,
    )


def talk(
    seed: int = 0, accounts: int = 120, first: int = 0, span_s: int = 7_000, **fields: Any
) -> list[Post]:
    """People who speak about the bridge: own words, own times, any client and age."""
    rng = np.random.default_rng([seed, 1])
    out: list[Post] = []
    for account in range(first, first + accounts):
        who = ordinary(rng) | fields
        at = float(rng.uniform(0, span_s))
        for _ in range(int(rng.integers(1, 4))):
            out.append(post(first * 1_000 + len(out), account, at, talk_text(rng), **who))
            at += float(rng.lognormal(np.log(600), 1.5))
            if at >= span_s:
                break
    return out


def flood(
    seed: int = 0,
    accounts: int = 40,
    texts: Sequence[str] = GOSSIP,
    rounds: int = 3,
    first: int = 5_000,
    **fields: Any,
) -> list[Post]:
    """Coordinated accounts: few texts, pairs 4 s apart in rounds of 20 minutes, one client, born together."""
    rng = np.random.default_rng([seed, 2])
    out: list[Post] = []
    for account in range(first, first + accounts):
        who: dict[str, Any] = {
            "client": "Flood Client",
            "account_created_ms": int(BAND + rng.integers(0, 12)) * DAY_MS,
        }
        start, at_text = float(rng.uniform(0, 1_100)), int(rng.integers(len(texts)))
        for turn in range(rounds):
            for part in range(2):
                text = texts[(at_text + 2 * turn + part) % len(texts)]
                at = start + 1_200 * turn + (4 + float(rng.uniform(0, 0.9))) * part
                out.append(post(first * 1_000 + len(out), account, at, text, **(who | fields)))
    return out


def fans(
    seed: int = 0, accounts: int = 60, first: int = 9_000, texts: Sequence[str] = FAN_TEXTS
) -> list[Post]:
    """A fan campaign: templates to copy, posted by people at their own times from their own clients."""
    rng = np.random.default_rng([seed, 3])
    out: list[Post] = []
    for account in range(first, first + accounts):
        who = ordinary(rng)
        at = float(rng.uniform(0, 3_000))
        for text in rng.permutation(np.array(texts))[: int(rng.integers(2, 5))]:
            out.append(post(first * 1_000 + len(out), account, at, str(text), **who))
            at += float(rng.lognormal(np.log(500), 1.2)) + 20
    return [p for p in out if p.time_ms < T0 + WINDOW_MS]


def everyone(text: str, accounts: int = 60, first: int = 20_000, seed: int = 0, **fields: Any) -> list[Post]:
    """Ordinary accounts that post the same text once each: a share button, a chorus, a repost wave."""
    rng = np.random.default_rng([seed, 4])
    return [
        post(first * 1_000 + i, first + i, float(rng.uniform(0, 3_600)), text, **(ordinary(rng) | fields))
        for i in range(accounts)
    ]


def repost_flood(accounts: int = 40, targets: int = 8, first: int = 30_000, **fields: Any) -> list[Post]:
    """Coordinated accounts that repost the same posts within half a minute of each other."""
    rng = np.random.default_rng([7, first])
    return [
        post(
            first * 1_000 + 100 * target + i,
            first + i,
            600 + 700 * target + float(rng.uniform(0, 30)),
            GOSSIP[target % len(GOSSIP)],
            **({"kind": Kind.REPOST, "target_id": str(900 + target)} | fields),
        )
        for target in range(targets)
        for i in range(accounts)
    ]


def in_step(accounts: int = 30, rounds: int = 4, first: int = 35_000) -> list[Post]:
    """Accounts that post the same text within seconds, then the next one an hour's quarter later."""
    rng = np.random.default_rng([8, first])
    return [
        post(
            first * 1_000 + 100 * turn + i,
            first + i,
            500 + 900 * turn + float(rng.uniform(0, 9)),
            GOSSIP[turn],
        )
        for turn in range(rounds)
        for i in range(accounts)
    ]


def following(posts: Iterable[Post], least: float, most: float) -> list[Post]:
    """The posts with numbers of followees between two bounds, even in their logarithm, one an account."""
    span = np.log(most / least)
    return [
        msgspec.structs.replace(
            p,
            following=round(least * float(np.exp(span * np.random.default_rng(int(p.account_id)).random()))),
        )
        for p in posts
    ]


def remembering(accounts: Keys, hashtag: str = "toll") -> Baseline:
    """The prior, and the memory of one earlier campaign of these accounts."""
    origin = Origin(T0 - 7 * DAY_MS, "00c0ffee00c0ffee", T0 - 7 * DAY_MS)
    trace = Trace(
        origin, hashtag, "flood", len(accounts), 0, sampled(accounts), sampled(accounts[:0]), origin
    )
    return replace(Baseline.prior(), memory=Memory(Campaigns([trace])))


def table(posts: Iterable[Post]) -> tuple[Rows, dict[int, str]]:
    """Rows of the posts, one each, in their order, and the strings they stand for."""
    parts, strings = [np.empty(0, ROW)], {}
    for one in posts:
        (packet,) = pack([(0, one)], 0, 0, 1, 1)
        parts.append(packet.table()[0])
        strings.update(packet.strings)
    return np.concatenate(parts), strings


def window_of(rows: Rows, strings: dict[int, str], hashtag: str = HASHTAG) -> Window:
    """The window `[T0, T0 + 2 h)` over rows in any order and with any repetition."""
    rows = distinct(rows)
    index = TextIndex()
    index.add({f: strings[f] for f in np.unique(rows["text"]).tolist() if f in strings})
    written = rows[(rows["kind"] != Kind.REPOST) & (rows["text"] != 0)]
    prints, posts = np.unique(written["text"], return_counts=True)
    texts = index.texts(prints, posts) if len(prints) else Texts.none()
    return Window(hashtag, T0, T0 + WINDOW_MS, rows, texts, strings)


def window(posts: Iterable[Post], hashtag: str = HASHTAG) -> Window:
    """The window of the posts."""
    return window_of(*table(posts), hashtag)


def find(name: str, posts: Iterable[Post]) -> Finding:
    """What one detector says of the posts."""
    return finding(name, window(posts))


def finding(name: str, of: Window) -> Finding:
    """What one detector says of a window."""
    (detector,) = (d for d in DETECTORS if d.name == name)
    return detector.assess(of, Baseline.prior())


def without(posts: Iterable[Post], **fields: Any) -> list[Post]:
    """The posts with some fields replaced, by None to make them unknown."""
    return [msgspec.structs.replace(p, **fields) for p in posts]


def keys(posts: Iterable[Post]) -> NDArray[np.uint64]:
    """Sorted account keys of the posts."""
    return np.unique(np.array([int(p.account_id) for p in posts], np.uint64))


@cache
def flooded() -> tuple[Post, ...]:
    """A flood amid talk: 240 posts of 40 accounts among those of 120."""
    return (*talk(), *flood())


@cache
def flooded_window() -> Window:
    """The window of `flooded`."""
    return window(flooded())


COARSE: Final = int(Flag.COARSE_TIME)


RULES: Final = Rules(hop_ms=600_000, min_posts=20)
"""Hops of ten minutes: tests of order and restarts need few of them."""

Arrival = tuple[int, Post]
"""Source partition and post."""


def in_order(posts: Iterable[Post], sources: int = 1) -> list[Arrival]:
    """The posts by time, dealt out to the source partitions in turn."""
    ranked = sorted(posts, key=lambda p: (p.time_ms, p.id))
    return [(i % sources, p) for i, p in enumerate(ranked)]


def jumbled(posts: Iterable[Post], rng: np.random.Generator, sources: int, lateness_ms: int) -> list[Arrival]:
    """The posts on any source partition, each up to `lateness_ms` later than posts younger than itself."""
    arrival = [(p.time_ms + float(rng.uniform(0, lateness_ms)), int(rng.integers(sources)), p) for p in posts]
    return [(source, p) for _, source, p in sorted(arrival, key=lambda a: (a[0], a[2].id))]


def packets(
    arrivals: Sequence[Arrival],
    *,
    sources: int = 1,
    partitions: int = 1,
    partition: int = 0,
    size: Callable[[], int] = lambda: 50,
    ended: bool = True,
) -> list[Packet]:
    """The packets that one destination partition gets; every source ends if `ended`."""
    offsets, held = [0] * sources, [list[tuple[int, Post]]() for _ in range(sources)]
    starts, limits = [0] * sources, [size() for _ in range(sources)]
    out: list[Packet] = []

    def send(source: int, *, last: bool = False) -> None:
        packed = pack(held[source], source, starts[source], offsets[source], partitions, ended=last)
        out.append(packed[partition])
        held[source], starts[source], limits[source] = [], offsets[source], size()

    for source, one in arrivals:
        held[source].append((offsets[source], one))
        offsets[source] += 1
        if len(held[source]) >= limits[source]:
            send(source)
    for source in range(sources):
        if ended:
            offsets[source] += 1  # the punctuation has an offset too
        if ended or held[source]:
            send(source, last=ended)
    return out


def step(monitor: Monitor, packet: Packet) -> list[Outcome]:
    """Take one packet in and assess what the clock allows."""
    monitor.apply(monitor.plan(packet))
    return [outcome for _, outcome in lockstep([monitor])]


def monitor_of(
    sources: int = 1,
    rules: Rules = RULES,
    state: PartitionState | None = None,
    periods: Periods | None = None,
) -> Monitor:
    """A monitor of partition 0 that begins with the prior, alone unless it is given the periods of others."""
    return Monitor(0, range(sources), rules, Baseline.prior(), state, periods)


def run(of: Iterable[Packet], sources: int = 1, rules: Rules = RULES) -> list[Outcome]:
    """All outcomes of a fresh monitor."""
    monitor = monitor_of(sources, rules)
    return [outcome for packet in of for outcome in step(monitor, packet)]


def digests(outcomes: Sequence[Outcome]) -> dict[int, str]:
    """By hour, what all partitions together counted."""
    told: dict[int, list[Sums]] = {}
    for outcome in outcomes:
        if outcome.closing is not None and not outcome.closing.sums.empty:
            told.setdefault(outcome.closing.end_ms, []).append(outcome.closing.sums)
    return {hour: Sums.joined(parts).digest for hour, parts in told.items()}


async def counted(
    store: Store, monitor: Monitor, packet: Packet, at: int | None = None
) -> AsyncIterator[tuple[Evicted, ...]]:
    """Count a packet and assess what it allows, as workers do; gives what leaves, for the caller to drop."""
    delta = monitor.plan(packet, at)
    await store.commit(0, delta)
    monitor.apply(delta)
    while (hop_ms := monitor.next_hop()) is not None:
        outcome = monitor.assess(hop_ms)
        await store.record(0, outcome)
        yield monitor.close(outcome)


M = TypeVar("M", bound=Monitor)


def monitors_of(
    partitions: int, sources: int = 1, rules: Rules = RULES, kind: Callable[..., M] = Monitor
) -> list[M]:
    """Monitors of several partitions that tell each other completed periods."""
    periods = rules.periods(range(partitions))
    return [kind(p, range(sources), rules, Baseline.prior(), periods=periods) for p in range(partitions)]


def run_all(
    arrivals: Sequence[Arrival],
    partitions: int,
    sources: int = 1,
    rules: Rules = RULES,
    sizes: Sequence[int] = (50,),
) -> list[Outcome]:
    """All outcomes of several partitions that tell each other completed periods; hops in their order."""
    return run_on(monitors_of(partitions, sources, rules), arrivals, sources, sizes)


def run_on(
    monitors: Sequence[Monitor],
    arrivals: Sequence[Arrival],
    sources: int = 1,
    sizes: Sequence[int] = (50,),
) -> list[Outcome]:
    """All outcomes of some monitors, see `run_all`."""
    partitions = len(monitors)
    sent = [
        # Batches end at the same posts in every partition, as they do on the topic.
        packets(
            arrivals, sources=sources, partitions=partitions, partition=p, size=partial(next, cycle(sizes))
        )
        for p in range(partitions)
    ]
    out = []
    for together in zip(*sent, strict=True):
        for monitor, packet in zip(monitors, together, strict=True):
            monitor.apply(monitor.plan(packet))
        out += [outcome for _, outcome in lockstep(monitors)]
    return sorted(out, key=lambda outcome: outcome.hop_ms)


def lines(outcomes: Iterable[Outcome]) -> list[bytes]:
    """What readers see of the outcomes: assessments, and alerts where there is news."""
    out = []
    for outcome in outcomes:
        for tag in outcome.tags:
            out.append(assessment_json(tag.assessment))
            if tag.alert is not None and tag.reason.is_news:
                out.append(tag.reason.encode() + b" " + alert_json(tag.alert))
    return out
