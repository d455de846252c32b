"""One client used by many threads or tasks, and closed."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from callers import Connect, Estate
from faulty import answer, error, faulty, raw

from kubecustody.client import ApiError, Client, Endpoint, Retries
from kubecustody.client.asynchronous import AsyncClient


def test_threads_share_a_client_and_each_gets_its_own_answer(estate: Estate) -> None:
    prod, stage = estate.clusters["prod"], estate.clusters["stage"]
    with Client(estate.account, retries=Retries(attempts=8)) as client:

        def ask(number: int) -> bool:
            if number % 5 == 4:
                config = client.describe_cluster_user_kubeconfig(prod, temporary_duration_minutes=15).config
                return prod in config
            cluster, name = [(prod, "prod"), (stage, "stage")][number % 2]
            detail = client.describe_cluster_detail(cluster)
            return (detail.cluster_id, detail.name) == (cluster, name)

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(ask, range(80)))


def test_thread_that_waits_to_try_again_keeps_no_other_waiting() -> None:
    throttled = error(400, "Throttling.User", x_acs_retry_after="1500")
    with faulty(throttled, answer(body={"regions": []})) as server:
        with Client(Endpoint(server.url, "KEY", "wholly-secret")) as client:
            waiting = threading.Thread(target=client.describe_regions)
            waiting.start()
            while not server.asked:
                time.sleep(0.01)
            time.sleep(0.05)
            begun = time.monotonic()
            client.describe_regions()
            assert time.monotonic() - begun < 1
            waiting.join(10)
        assert len(server.asked) == 3


def test_tasks_share_a_client_side_by_side(estate: Estate) -> None:
    async def whole() -> list[str]:
        async with AsyncClient(estate.account, retries=Retries(attempts=8), connections=8) as client:
            wanted = list(estate.clusters.values()) * 40
            found = await asyncio.gather(*map(client.describe_cluster_detail, wanted))
            return [one.cluster_id for one in found]

    assert asyncio.run(whole()) == list(estate.clusters.values()) * 40


def test_tasks_wait_for_the_server_together_and_on_no_more_connections_than_said() -> None:
    def slow(connection: Any) -> bool:
        time.sleep(0.2)
        return answer(body={"regions": []})(connection)

    async def whole(url: str) -> None:
        async with AsyncClient(Endpoint(url, "KEY", "wholly-secret"), connections=5) as client:
            await asyncio.gather(*(client.describe_regions() for _ in range(10)))

    with faulty(slow) as server:
        begun = time.monotonic()
        asyncio.run(whole(server.url))
        assert time.monotonic() - begun < 1.5
        assert len(server.asked) == 10 and len(server.connections) == 5


def test_cancelled_call_leaves_the_client_usable() -> None:
    async def whole(url: str) -> None:
        async with AsyncClient(Endpoint(url, "KEY", "wholly-secret")) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.describe_regions(), 0.2)
            assert (await client.describe_regions()).regions == []

    with faulty(
        raw(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{", stay=True), answer(body={"regions": []})
    ) as server:
        asyncio.run(whole(server.url))
        assert [asked.connection for asked in server.asked] == [1, 2]


@pytest.mark.parametrize("tls", [True, False])
def test_closing_leaves_nothing_open(estate: Estate, connect: Connect, tls: bool) -> None:
    """Python warns of each socket and transport that is left, and warnings are errors here."""
    with faulty(answer(body={"regions": []}), error(403, "StatusForbidden"), answer(body={"regions": []})) as server:
        client = connect(estate.account if tls else server.url)
        client.describe_regions()
        if tls:
            client.describe_cluster_user_kubeconfig(estate.clusters["prod"])
        else:
            with pytest.raises(ApiError):
                client.describe_cluster_user_kubeconfig("c1")
        client.describe_regions()
        client.close()
        client.close()
        gc.collect()
        client.describe_regions()  # and goes on, should somebody ask again
        client.close()
        del client
        gc.collect()


def test_closing_a_client_that_was_never_used_is_nothing(connect: Connect) -> None:
    connect("http://127.0.0.1:1").close()
