"""Jobs over many machines lose nothing, buy nothing twice and end once.

Three hosts of namespaces, a web and two workers, share a bucket (SeaweedFS) and a
broker, and no disk. While a job is drawn, workers are killed every two seconds, the
broker is emptied and restarted, the bucket answers 503 for ten seconds, and all of
Mimeo is replaced by a new release. CI draws 1,000 badges; by hand, as root, 20,000:

    TEST_CLUSTER_IMAGES=20000 bin/test -s tests/cluster -k redis
    bin/test -s tests/cluster -k rabbitmq

Each drawing is counted as it begins, by a line that it writes to its host's own disk
before its first pixel: see site/sitecustomize.py.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, cycle
from math import ceil
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
import requests
from standardwebhooks import Webhook

from app.jobs.job import ENDED
from app.jobs.signature import receiver_secret
from app.jobs.webhooks import origin_of
from tests.cluster.deployment import SECRET, Cluster, Node, cluster
from tests.cluster.hosts import in_network_of, why_not
from tests.cluster.services import BROKERS, RabbitMQ, Redis
from tests.jobs.receiver import Got
from tests.waiting import wait_until

IMAGES = int(os.environ.get("TEST_CLUSTER_IMAGES", "1000"))
JSON = {"Content-Type": "application/json"}
WRITERS, KEYS = 16, 5
KILL_EVERY_S = 2.0
# A host that is killed again and again draws nothing at all where a machine is slow
# to start it: so many kills for so many images.
KILLS = max(4, IMAGES // 250)
OUTAGE_S = 10.0
# How far a job is when something happens to what is shared.
BUCKET_AT, EMPTIED_AT, RESTARTED_AT, DEPLOY_AT = 0.1, 0.25, 0.4, 0.55
BOUGHT = 60
# Platforms kill 30 s after they have asked.
STOPS_S = 20.0
LONG_S = 300 + IMAGES / 10


def skip(reason: str) -> NoReturn:
    print(f"skipped: {reason}", file=sys.stderr)
    pytest.skip(reason)


@pytest.fixture(scope="module", params=BROKERS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    if reason := why_not():
        skip(reason)
    if request.param == "redis" and shutil.which("redis-server") is None:
        skip("redis-server is not installed")
    if request.param == "rabbitmq" and not RabbitMQ.program.exists():
        skip("rabbitmq-server is not installed")
    with cluster(request.param, tmp_path_factory.mktemp("logs")) as made:
        yield made


def badges(name: str, count: int) -> bytes:
    items = [{"name": f"{name} {n}", "event": "Cluster"} for n in range(count)]
    return json.dumps({"renderer": "badge", "items": items}).encode()


def test_hosts_share_no_disk(running: Cluster) -> None:
    disks = [node.host.disks() for node in running.nodes]
    for node in running.nodes:
        (node.host.disk / "mark").write_text(node.host.name)

    assert all(disks)
    assert len(set().union(*disks)) == sum(map(len, disks))
    for node in running.nodes:
        assert node.host.run("cat", "/dev/shm/mark") == node.host.name


def test_of_sixteen_writers_at_once_one_creates_an_entry(running: Cluster) -> None:
    ready = threading.Barrier(WRITERS)

    def write(number: int) -> list[int]:
        statuses = []
        with in_network_of(running.shared.pid), requests.Session() as session:
            for key in range(KEYS):
                url = f"{running.bucket}/created/{key}"
                ready.wait(60)
                reply = session.put(
                    url, b"%d" % number, headers={"If-None-Match": "*"}, timeout=60
                )
                statuses.append(reply.status_code)
        return statuses

    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write, range(WRITERS)))

    for key in range(KEYS):
        assert Counter(each[key] for each in written) == {200: 1, 412: WRITERS - 1}
        with running.shared.inside():
            kept = requests.get(f"{running.bucket}/created/{key}", timeout=60)
        assert written[int(kept.content)][key] == 200


@contextmanager
def killing(nodes: list[Node], guard: threading.Lock) -> Iterator[list[str]]:
    """Kill one after the other every two seconds, and start each anew at once."""
    killed: list[str] = []
    done = threading.Event()

    def run() -> None:
        for node in cycle(nodes):
            if done.wait(KILL_EVERY_S) or len(killed) == KILLS:
                return
            with guard:
                node.kill()
                node.start()
                killed.append(node.host.name)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def far(running: Cluster, place: str) -> Callable[[float], None]:
    """Return what waits until a part of a job is done."""

    def wait(part: float) -> None:
        def reached(job: dict[str, Any]) -> bool:
            return job["state"] in ENDED or done(job) >= part * job["counts"]["total"]

        running.wait_for(place, reached, LONG_S)

    return wait


def end(running: Cluster, place: str) -> dict[str, Any]:
    """Wait for the end of a job; return what is said of it then."""
    return running.wait_for(place, lambda job: job["state"] in ENDED, LONG_S)


def done(job: dict[str, Any]) -> int:
    counts: dict[str, int] = job["counts"]
    return counts["done"] + counts["failed"]


def refuse(running: Cluster) -> None:
    """Let the bucket answer 503 for some seconds."""
    running.gate.turn("refusing")
    time.sleep(OUTAGE_S)
    running.gate.turn("passing")


def restart(running: Cluster) -> None:
    """End the broker with all that it knows, and start it anew."""
    running.broker.kill()
    running.broker.start()


def deploy(running: Cluster, guard: threading.Lock) -> None:
    """Replace every program by that of a new release, as a platform does."""
    with guard:
        for node in running.nodes:
            node.deploy()
            node.stop(STOPS_S)
            node.start()
    running.wait_until_up()


def verified(running: Cluster, count: int) -> list[dict[str, Any]]:
    """Let the standard's own library verify the messages about so many jobs."""
    # An attempt that was killed is followed by another in half a minute.
    wait_until(lambda: len(told_ids(running)) >= count, 120)
    own = Webhook(receiver_secret(SECRET.encode(), origin_of(running.hook)))
    found = {}
    for got in all_told(running):
        found[got.headers["webhook-id"]] = own.verify(got.body, got.headers)
    return list(found.values())


def all_told(running: Cluster) -> list[Got]:
    return list(chain.from_iterable(running.told))


def told_ids(running: Cluster) -> set[str]:
    return {got.headers["webhook-id"] for got in all_told(running)}


def test_nothing_is_lost_whatever_becomes_of_the_machines(running: Cluster) -> None:
    body = badges("Guest", IMAGES)
    prompts = [f"prompt {number}" for number in range(BOUGHT)]
    items = [{"prompt": prompt} for prompt in prompts]
    paid = json.dumps({"renderer": "ai-service", "items": items}).encode()
    query = f"?webhook={quote(running.hook, safe='')}"
    before, guard = running.drawn(), threading.Lock()

    place = running.submit(body, query)
    bought = running.submit(paid, query)
    wait = far(running, place)
    with killing(running.workers, guard) as killed:
        wait(BUCKET_AT)
        refuse(running)
        wait(EMPTIED_AT)
        if isinstance(running.broker, Redis):
            running.broker.ask("FLUSHALL")
            wait(RESTARTED_AT)
            restart(running)
        wait(DEPLOY_AT)
        deploy(running, guard)
        job, paid_job = end(running, place), end(running, bought)
    drawn = running.drawn() - before
    messages = verified(running, 2)
    attempts = running.kept(place, "attempts")
    chunks = running.kept(place, "chunks")
    archive = running.ask(job["links"]["archive"]).body
    paid_archive = running.ask(paid_job["links"]["archive"]).body
    alone = running.ask("/collections.zip", "POST", body, JSON).body
    paid_alone = running.ask("/collections.zip", "POST", paid, JSON).body

    begun = sum(1 for key in attempts if not key.endswith(".clean"))
    asked = sum(running.service.asked.values())
    print(
        f"{IMAGES} images, {len(chunks)} chunks, {begun} attempts, {len(killed)} kills:"
        f" {sum(drawn.values()) / IMAGES:.3f} drawings an image,"
        f" at most {max(drawn.values())} of one;"
        f" {asked} calls of the service for {BOUGHT} images"
    )
    # Every image once, and the bytes that one machine makes in a request.
    assert job["counts"] == {"total": IMAGES, "done": IMAGES, "failed": 0}
    assert archive == alone
    # Nothing is bought twice, in the job or after it.
    assert paid_job["counts"] == {"total": BOUGHT, "done": BOUGHT, "failed": 0}
    assert paid_archive == paid_alone
    assert running.service.bill == Counter(prompts)
    # One end each, and it is told.
    assert {message["type"] for message in messages} == {"job.succeeded"}
    assert {message["data"]["id"] for message in messages} == {
        job["id"],
        paid_job["id"],
    }
    assert len(messages) == 2
    # What is drawn again is what the killed had begun with.
    assert len(drawn) == IMAGES
    size = ceil(IMAGES / len(chunks))
    assert sum(drawn.values()) <= begun * size
    if IMAGES >= 10_000:
        assert sum(drawn.values()) <= 1.2 * IMAGES


def test_a_worker_that_is_told_to_stop_leaves_its_chunk_to_others(
    running: Cluster,
) -> None:
    count = 1000
    first = running.workers[0]
    before, drawn = running.drawn(), sum(first.drawn().values())
    place = running.submit(badges("Stopped", count))

    # In the midst of its chunks, as there is much left to do.
    wait_until(lambda: sum(first.drawn().values()) > drawn + 5, LONG_S)
    first.stop(STOPS_S)
    job = end(running, place)
    attempts = running.kept(place, "attempts")
    first.start()

    assert job["counts"] == {"total": count, "done": count, "failed": 0}
    # Who leaves says so, and nobody waits for a lease.
    left = [key for key in attempts if key.endswith(".clean")]
    assert left
    begun = len(attempts) - len(left)
    assert begun == len(running.kept(place, "chunks")) + len(left)
    drawings = running.drawn() - before
    assert len(drawings) == count
    assert set(drawings.values()) <= {1, 2}
