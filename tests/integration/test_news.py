"""The topic `alerts` as its writers use it, on a real broker."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from streams import embedded, topics
from streams.news import TopicNews
from streams.settings import Settings

pytestmark = pytest.mark.servers


async def test_partitions_taken_over_at_once_share_one_client_of_the_register(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded.broker(tmp_path) as url:
        settings = Settings.load(kafka_url=url, transactions=False, partitions=4)
        await asyncio.to_thread(topics.ensure, settings)
        news = TopicNews(settings)
        await asyncio.gather(*(news.open(partition) for partition in range(4)))
        gc.collect()
        for partition in range(4):
            await news.close(partition)
        assert news._register is not None
        await news._register.stop()
    assert "Unclosed" not in caplog.text
