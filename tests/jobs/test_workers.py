"""Jobs on many machines: real workers, and a real redis between them and a server."""

import io
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import requests
from amqp.exceptions import AccessRefused
from flask import Flask

from app.config import Settings
from app.jobs.carrier import Carrier, CarrierError
from app.jobs.celery_engine import CeleryEngine, JobWorker, open_engine
from app.jobs.job import Job
from tests import redis_server, s3_server
from tests.certificate import certify
from tests.jobs import procfile
from tests.jobs.apps import Open, ended, rows
from tests.jobs.workers import COMMAND, ROOT, WorkerProcess, environment, working
from tests.pipeline.process_work import drawing
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(
    redis_server.PROGRAM is None, reason="redis-server is not installed"
)


class Cluster:
    """A server over a store, a redis, and workers of both."""

    def __init__(self, folder: Path, url: str, app: Flask, ending: ExitStack) -> None:
        self._folder = folder
        self._ending = ending
        self.url = url
        self.client = app.test_client()
        self.engine: CeleryEngine = app.extensions["mimeo.jobs"]
        self.ledger = self.engine._ledger

    def work(self, **more: str) -> WorkerProcess:
        store = str(self._folder / "store")
        settings = {"MIMEO_STORE": store, "REDIS_URL": self.url, **more}
        worker = self._ending.enter_context(working(self._folder, settings))
        wait_until(self.ledger.is_attended)
        return worker

    def submit(self, body: dict[str, Any]) -> Job:
        answer = self.client.post("/jobs", json=body)
        assert answer.status_code == 202, answer.text
        return self.ledger.job(answer.get_json()["id"])

    def end(self, job: Job) -> dict[str, Any]:
        return ended(self.client, f"/jobs/{job.id}")

    def attempts(self, job: Job) -> list[str]:
        found = self.ledger._store.below(f"{job.id}/attempts")
        return [key.partition("/attempts/")[2] for key, _ in found]

    def begun(self, job: Job) -> bool:
        """Tell whether a chunk is drawn, and others wait."""
        return bool(self.attempts(job)) and len(self.ledger.done(job)) < job.chunks - 2


@pytest.fixture
def cluster(open_app: Open, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as ending:
        url = ending.enter_context(redis_server.serving(tmp_path))
        app = open_app(redis_url=url)
        yield Cluster(tmp_path, url, app, ending)


def slow(count: int) -> dict[str, Any]:
    """Return rows that take a worker some milliseconds each."""
    items = [{"name": f"Guest {number}", "event": "Fair"} for number in range(count)]
    return {"renderer": "badge", "items": items}


def test_workers_draw_and_the_server_does_not(cluster: Cluster) -> None:
    cluster.work()
    cluster.work()

    job = cluster.submit(rows(1500))
    document = cluster.end(job)

    assert document["counts"] == {"total": 1500, "done": 1500, "failed": 0}
    assert cluster.engine.health()["chunks"] == 0
    body = cluster.client.post("/collections.zip", json=rows(1500)).data
    assert cluster.client.get(document["links"]["archive"]).data == body
    with redis.Redis.from_url(cluster.url) as client:
        # Not of the job: what a broker is told is that there is work.
        sizes = [client.memory_usage(key) for key in client.keys("mimeo:*")]
        assert sum(sizes) < 20_000
        assert all(key.startswith(b"mimeo:") for key in client.keys("*"))


def test_a_worker_has_processes_that_draw(cluster: Cluster) -> None:
    # None was ever begun: the engine's own threads, which did nothing yet, forbade it.
    worker = cluster.work(MIMEO_BULK_PROCESSES="2")

    job = cluster.submit(slow(600))
    wait_until(lambda: drawing(worker.process.pid), 60)
    process, *_ = drawing(worker.process.pid)

    assert cluster.end(job)["counts"] == {"total": 600, "done": 600, "failed": 0}
    assert os.getpriority(os.PRIO_PROCESS, process) == os.getpriority(
        os.PRIO_PROCESS, worker.process.pid
    )


def test_a_worker_of_one_core_draws_by_itself(cluster: Cluster) -> None:
    worker = cluster.work(MIMEO_BULK_PROCESSES="1")
    job = cluster.submit(slow(600))
    wait_until(lambda: len(cluster.ledger.done(job)) > job.chunks // 2, 60)

    assert not drawing(worker.process.pid)
    assert cluster.end(job)["counts"] == {"total": 600, "done": 600, "failed": 0}


def test_a_message_keeps_a_thread_at_work_for_several_chunks(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each chunk had a message of its own, which took as long as some of its images.
    monkeypatch.setattr(cluster.engine, "start", lambda: None)
    job = cluster.submit(rows(200))
    carrier = Bells()
    worker = JobWorker(cluster.ledger, cluster.engine._turns, carrier)

    worker._heard()

    assert cluster.ledger.end(job.id) is not None
    assert job.chunks == 8
    assert carrier.rung == 1


class Bells:
    """A broker that counts the bells."""

    rung = 0

    def ring(self) -> None:
        self.rung += 1


def test_without_a_worker_the_server_draws(cluster: Cluster) -> None:
    job = cluster.submit(rows(120))

    assert cluster.end(job)["state"] == "succeeded"
    # It is counted after the end is written down.
    wait_until(lambda: cluster.engine.health()["chunks"] == job.chunks)


def test_what_a_killed_worker_had_begun_is_drawn_by_another(cluster: Cluster) -> None:
    first = cluster.work()
    job = cluster.submit(slow(600))
    wait_until(lambda: cluster.begun(job), 60)
    first.kill()
    cluster.work()

    document = cluster.end(job)

    assert document["counts"] == {"total": 600, "done": 600, "failed": 0}


def test_a_worker_that_is_stopped_leaves_its_chunk_to_another(
    cluster: Cluster,
) -> None:
    first = cluster.work()
    job = cluster.submit(slow(600))
    wait_until(lambda: cluster.begun(job), 60)
    second = cluster.work()

    status = first.stop()

    # On purpose, so that no deploy counts as a crash.
    assert status == 0
    begun = {key for key in cluster.attempts(job) if not key.endswith(".clean")}
    assert cluster.end(job)["counts"]["done"] == 600
    done = len(cluster.ledger.done(job))
    clean = [key for key in cluster.attempts(job) if key.endswith(".clean")]
    every = {key for key in cluster.attempts(job) if not key.endswith(".clean")}
    assert begun <= every and len(every) == done + len(clean)
    assert second.stop() == 0


def test_an_emptied_redis_costs_a_job_nothing(cluster: Cluster) -> None:
    cluster.work()
    job = cluster.submit(slow(600))
    wait_until(lambda: cluster.begun(job), 60)

    with redis.Redis.from_url(cluster.url) as client:
        client.flushall()

    assert cluster.end(job)["counts"]["done"] == 600


def test_a_small_job_is_not_behind_a_large_one(cluster: Cluster) -> None:
    cluster.work()
    large = cluster.submit(slow(3000))
    wait_until(lambda: cluster.begun(large), 60)

    small = cluster.submit(rows(60))
    cluster.end(small)

    assert cluster.ledger.end(large.id) is None
    assert cluster.client.delete(f"/jobs/{large.id}").status_code == 202
    assert cluster.end(large)["state"] == "cancelled"


def template(folder: Path, color: str) -> str:
    """Write a template of one's own, and return the folder that it is in."""
    made = folder / color / "plate"
    made.mkdir(parents=True)
    words = '[parameters.words]\ntype = "text"\nmax_length = 9\nexample = "One"\n'
    title = 'title = "Plate"\nwidth = 64\nheight = 64\n'
    (made / "parameters.toml").write_text(title + words)
    style = f"background: {color}; width: 64px; height: 64px"
    (made / "template.html").write_text(f'<div style="{style}">{{{{ words }}}}</div>')
    return str(made.parent)


def test_workers_of_two_versions_draw_each_its_own(
    open_app: Open, tmp_path: Path
) -> None:
    before, after = template(tmp_path, "red"), template(tmp_path, "blue")
    items = [{"words": str(number)} for number in range(300)]
    body = {"renderer": "plate", "items": items}
    with ExitStack() as ending:
        url = ending.enter_context(redis_server.serving(tmp_path))
        old = open_app(redis_url=url, templates=Path(before))
        new = open_app(redis_url=url, templates=Path(after))
        clusters = [Cluster(tmp_path, url, app, ending) for app in (old, new)]
        clusters[0].work(MIMEO_TEMPLATES=before)
        clusters[1].work(MIMEO_TEMPLATES=after)

        jobs = [cluster.submit(body) for cluster in clusters]

        for cluster, job in zip(clusters, jobs, strict=True):
            document = cluster.end(job)
            assert document["counts"] == {"total": 300, "done": 300, "failed": 0}
            here = cluster.client.post("/collections.zip", json=body).data
            assert cluster.client.get(document["links"]["archive"]).data == here


def test_a_redis_that_drops_messages_is_told_of(
    cluster: Cluster, tmp_path: Path
) -> None:
    with redis.Redis.from_url(cluster.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")

    worker = cluster.work()

    assert "maxmemory-policy is allkeys-lru" in worker.said()


@pytest.mark.parametrize(
    ("settings", "lack"),
    [
        ({}, "neither MIMEO_BROKER_URL nor REDIS_URL names a broker"),
        ({"REDIS_URL": "unix:///run/redis"}, "neither MIMEO_BROKER_URL nor REDIS_URL"),
        (
            {"MIMEO_BROKER_URL": "amqp://localhost", "MIMEO_STORE": "memory:"},
            "MIMEO_STORE is nothing that another process sees",
        ),
    ],
)
def test_a_worker_that_can_hear_nothing_says_so_once_and_ends(
    settings: dict[str, str], lack: str
) -> None:
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environment(settings), capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"mimeo worker: {lack}")


class NoJobs:
    """Turns without any job; notes each look, and whether it was to be a new one."""

    has_open = False

    def __init__(self) -> None:
        self.looks: list[bool] = []

    def open_jobs(self, *, anew: bool = False) -> list[Job]:
        self.looks.append(anew)
        return []


def test_a_server_with_a_broker_looks_into_a_bucket_rarely_and_at_a_submit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.jobs.local_engine._LOOK_S", 0.01)
    turns, rung = NoJobs(), Event()
    looking: Any = turns
    kept: Any = SimpleNamespace(keeps=True, job=lambda id: SimpleNamespace(chunks=1))
    carrier = SimpleNamespace(ring=lambda times: rung.set())
    settings = Settings(store="s3://bucket", redis_url="redis://127.0.0.1:1")
    engine: Any = open_engine(settings, kept, lambda **_: looking)
    monkeypatch.setattr(engine, "_open_carrier", lambda: carrier)
    # What the broker needs is imported at the first job.
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "app.jobs.carrier", None)
        engine.start()
        wait_until(lambda: turns.looks, 60)
        time.sleep(0.2)
        idle = list(turns.looks)

    engine.enqueue("any")

    assert rung.wait(60)
    wait_until(lambda: len(turns.looks) == 2, 60)
    engine.close()
    assert idle == [False]
    assert turns.looks == [False, True]


def test_a_broker_of_an_unknown_kind_is_a_bad_setting() -> None:
    settings = {"MIMEO_BROKER_URL": "kafka://secret@host", "MIMEO_STORE": "/tmp/x"}

    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environment(settings), capture_output=True, text=True
    )

    assert done.returncode == 2
    assert done.stderr.startswith("mimeo: MIMEO_BROKER_URL: must be redis://")
    assert "secret" not in done.stderr


def test_the_lines_of_the_procfile_are_a_cluster(tmp_path: Path) -> None:
    with ExitStack() as ending:
        folder = tmp_path / "s3"
        folder.mkdir()
        bucket = ending.enter_context(s3_server.serving(folder))
        url = ending.enter_context(redis_server.serving(tmp_path))
        given = {
            "REDIS_URL": url,
            "MIMEO_STORE": "s3://bucket/mimeo",
            **s3_server.access(bucket),
        }
        platform = ending.enter_context(procfile.running(tmp_path, given))
        # Two of each, as a platform that scales them starts them.
        servers = [platform.web(), platform.web()]
        workers = [platform.worker(), platform.worker()]

        def ask(path: str, **named: Any) -> requests.Response:
            # Whichever server a router picks.
            return requests.request(url=random.choice(servers) + path, **named)

        sent = ask("/jobs", method="POST", json=rows(700))
        assert sent.status_code == 202, sent.text
        place = sent.headers["Location"]

        def has_ended() -> bool:
            found = ask(place, method="GET")
            return found.ok and found.json()["state"] == "succeeded"

        wait_until(has_ended, 180)
        archive = ask(f"{place}/archive.zip", method="GET")
        with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
            assert opened.testzip() is None
            assert len(opened.namelist()) == 700 + 1
        assert [worker.stop() for worker in workers] == [0, 0]


def test_refused_login_at_a_broker_is_said_as_an_unreachable_one(monkeypatch) -> None:
    carrier = Carrier("amqp://nobody:nothing@127.0.0.1:1//")

    def refuse(*_: Any, **__: Any) -> None:
        raise AccessRefused(reply_code=403, reply_text="ACCESS_REFUSED - Login")

    monkeypatch.setattr(carrier._celery, "send_task", refuse)

    with pytest.raises(CarrierError, match="ACCESS_REFUSED"):
        carrier.ring()
    carrier.close()


def test_a_worker_whose_broker_is_gone_says_so_once_and_draws(
    open_app: Open, tmp_path: Path
) -> None:
    with redis_server.serving(tmp_path) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
    lost = "looked for until it is there"
    with ExitStack() as ending:
        app = open_app(broker_url=url)
        cluster = Cluster(tmp_path, url, app, ending)
        # Not there at its start.
        worker = cluster.work(REDIS_URL="", MIMEO_BROKER_URL=url)
        job = cluster.submit(rows(60))
        assert cluster.end(job)["counts"]["done"] == 60
        assert worker.said().count(lost) == 1
        with redis_server.serving(tmp_path, port=port):
            wait_until(lambda: "the broker is there again" in worker.said(), 120)
            again = cluster.submit(rows(61))
            assert cluster.end(again)["counts"]["done"] == 61
        # Gone in the midst.
        wait_until(lambda: worker.said().count(lost) == 2, 60)
        last = cluster.submit(rows(62))
        assert cluster.end(last)["counts"]["done"] == 62
        status = worker.stop()

    assert status == 0
    assert worker.said().count(lost) == 2
    assert cluster.engine.health()["chunks"] == 0


def test_the_certificate_of_a_broker_is_verified_unless_its_url_says_otherwise(
    open_app: Open, tmp_path: Path
) -> None:
    # kombu takes any where the URL is silent.
    certificate, _ = certify(tmp_path / "certificate.pem", "localhost")
    with (
        redis_server.serving(tmp_path, certificate=certificate) as url,
        ExitStack() as ending,
    ):
        unsigned = Carrier(url)
        with pytest.raises(CarrierError, match="CERTIFICATE_VERIFY_FAILED"):
            unsigned.ring()
        with pytest.raises(CarrierError, match="CERTIFICATE_VERIFY_FAILED"):
            unsigned.check()
        unsigned.close()

        trusting = f"{url}?ssl_cert_reqs=none"
        cluster = Cluster(tmp_path, trusting, open_app(broker_url=trusting), ending)
        # By its certificate alone, as one that somebody has signed.
        signed = {"MIMEO_BROKER_URL": url, "SSL_CERT_FILE": str(certificate)}
        worker = cluster.work(REDIS_URL="", **signed)
        job = cluster.submit(rows(120))

        assert cluster.end(job)["counts"]["done"] == 120
        assert "jobs:" not in worker.said()
        assert worker.stop() == 0
