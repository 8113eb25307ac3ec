"""A server that is killed at any moment, again and again, loses nothing of a job."""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openai
import pytest
from standardwebhooks import Webhook

from app.access.signed_url import secret_of
from app.bootstrap import open_secrets
from app.config import Settings
from app.jobs.signature import receiver_secret
from app.jobs.webhooks import origin_of
from tests.gunicorn_server import Server, serve
from tests.jobs.receiver import Receiver, receiving
from tests.waiting import wait_until

# By hand: TEST_KILLS=20 and more, of a job that lasts as long.
KILLS = int(os.environ.get("TEST_KILLS", "3"))
ROWS = 4_000 if KILLS <= 3 else 10_000
# Drawings for each image of the result, over all kills.
MOST_DRAWN = 1.1
APP = "tests.faulty:build()"
BODY = json.dumps(
    {
        "renderer": "faulty",
        "defaults": {"width": 32, "height": 32},
        "items": [{"number": number} for number in range(ROWS)],
    }
).encode()
JSON = {"Content-Type": "application/json"}


def family(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def kill_all(server: Server) -> None:
    for pid in list(family(server.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def document(server: Server, place: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.ask(place).body)
    return found


def has_succeeded(server: Server, place: str) -> bool:
    # A worker that ends may have been about to answer.
    with suppress(ConnectionError):
        return bool(document(server, place)["state"] == "succeeded")
    return False


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(204) as running:
        yield running


def verify(receiver: Receiver, store: str) -> set[str]:
    """Let both libraries verify all messages; return what they say happened."""
    settings = Settings(store=store)
    secret = secret_of(open_secrets(settings))
    own = receiver_secret(secret, origin_of(receiver.url))
    client = openai.OpenAI(api_key="none", webhook_secret=own)
    for got in receiver.got:
        client.webhooks.unwrap(got.body, got.headers)
        Webhook(own).verify(got.body, got.headers)
    return {got.headers["webhook-id"] + str(got.body) for got in receiver.got}


def test_every_image_is_there_once_whoever_was_killed(
    tmp_path: Path, receiver: Receiver
) -> None:
    chance = random.Random(7)
    # A file for each drawing that was begun: it stays, whoever is killed.
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    store = str(tmp_path / "store")
    settings = {"MIMEO_STORE": store, "FAULTY_FOLDER": str(drawn)}
    path = f"/jobs?webhook={quote(receiver.url, safe='')}"
    with serve(APP, settings) as server:
        reply = server.ask(path, "POST", BODY, JSON)
        assert reply.status == 202, reply.body
        place = reply.headers["Location"]
        kill_all(server)
    for _ in range(KILLS):
        with serve(APP, settings) as server:
            time.sleep(chance.random())
            kill_all(server)
    with serve(APP, settings) as server:
        wait_until(lambda: document(server, place)["state"] == "succeeded", 120)
        drawings = [file.name.partition("-")[0] for file in drawn.iterdir()]
        # An attempt that was killed is followed by another in half a minute.
        wait_until(lambda: len(receiver.got) > 0, 60)
        job = document(server, place)
        archive = server.ask(job["links"]["archive"]).body
        alone = server.ask("/collections.zip", "POST", BODY, JSON).body

    assert len(verify(receiver, settings["MIMEO_STORE"])) == 1
    assert job["counts"] == {"total": ROWS, "done": ROWS, "failed": 0}
    assert archive == alone
    told = job["attempts"]
    print(f"{len(drawings) / ROWS:.3f} drawings an image; chunks: {told}")
    assert len(set(drawings)) == ROWS
    assert len(drawings) <= MOST_DRAWN * ROWS
    # What the ledger tells is an upper bound: of who is killed it knows no image.
    rows = ROWS // told["chunks"]
    assert len(drawings) <= rows * told["begun"]
    assert told["begun"] <= told["chunks"] + 2 * (KILLS + 1)


def test_a_worker_that_is_told_to_stop_leaves_its_chunk_to_others(
    tmp_path: Path,
) -> None:
    settings = {
        "MIMEO_STORE": str(tmp_path / "store"),
        "FAULTY_FOLDER": str(tmp_path),
        "WEB_CONCURRENCY": "1",
    }
    with serve(APP, settings) as server:
        place = server.ask("/jobs", "POST", BODY, JSON).headers["Location"]
        wait_until(lambda: document(server, place)["counts"]["done"] > 0, 60)
        [first] = server.workers()
        os.kill(first, signal.SIGTERM)
        wait_until(lambda: has_succeeded(server, place), 120)
        assert first not in server.workers()

        told = document(server, place)["attempts"]

    # Each chunk was begun with once, but the one that was left in order.
    assert told["begun"] - told["left"] == told["chunks"]
    assert (told["left"] <= 1, told["duplicates"]) == (True, 0)
