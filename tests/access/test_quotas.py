"""Nobody keeps or streams more than their own, and nobody's goes to make room."""

import io
import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app import create_app
from app.access.caller import Caller
from app.access.errors import QuotaExceeded
from app.access.keys import Key, digest_of, new_key
from app.access.ledger import LedgerError
from app.access.quotas import Quotas
from app.config import Settings
from tests.access.ledgers import tolerant
from tests.gunicorn_server import Server, serve

MIB = 1 << 20
STRANGER = Caller("anonymous", "203.0.113.7")
NEIGHBOUR = Caller("anonymous", "203.0.113.8")
HIDDEN = Caller("anonymous")
KEY = Caller("key", key=Key("aaaaaaaa", "0" * 64))


class Shelf:
    """Collections that are there, by id."""

    def __init__(self, ledger: Any, room: int = 1024 * MIB) -> None:
        self.quotas = Quotas(tolerant(ledger), tolerant(ledger), room)
        self.there: set[str] = set()

    def put(self, caller: Caller, id: str, size: int) -> None:
        self.quotas.keep(caller, id, size, self.there.__contains__)
        self.there.add(id)

    def refusal(self, caller: Caller, id: str, size: int) -> QuotaExceeded:
        with pytest.raises(QuotaExceeded) as caught:
            self.put(caller, id, size)
        return caught.value


def test_an_address_keeps_64_mib_and_its_neighbour_too(ledger):
    shelf = Shelf(ledger)
    shelf.put(STRANGER, "a", 40 * MIB)
    shelf.put(STRANGER, "b", 24 * MIB)

    error = shelf.refusal(STRANGER, "c", 1)

    assert (error.limit, error.remaining, error.unit) == (64 * MIB, 0, "bytes")
    assert str(error) == "No more than 67,108,864 bytes at a time."
    shelf.put(NEIGHBOUR, "d", 64 * MIB)


def test_all_without_a_key_keep_half_of_the_room(ledger):
    shelf = Shelf(ledger, 200 * MIB)
    shelf.put(STRANGER, "a", 60 * MIB)

    error = shelf.refusal(NEIGHBOUR, "b", 41 * MIB)

    assert (error.limit, error.remaining) == (100 * MIB, 40 * MIB)
    # Those whose addresses are not known share what is left.
    shelf.put(HIDDEN, "c", 40 * MIB)
    shelf.refusal(HIDDEN, "d", 1)
    # A key is not one of them.
    shelf.put(KEY, "e", 50 * MIB)


def test_a_key_keeps_a_quarter_or_its_own_number(ledger):
    shelf = Shelf(ledger, 100 * MIB)
    small = Caller("key", key=Key("bbbbbbbb", "0" * 64, stored_bytes=10))

    shelf.put(KEY, "a", 25 * MIB)
    assert shelf.refusal(KEY, "b", 1).limit == 25 * MIB
    shelf.put(small, "c", 10)
    assert shelf.refusal(small, "d", 1).limit == 10


def test_what_is_deleted_or_swept_counts_no_longer(ledger):
    shelf = Shelf(ledger)
    for id in "abcd":
        shelf.put(STRANGER, id, 16 * MIB)
    shelf.refusal(STRANGER, "e", 16 * MIB)

    shelf.there.remove("a")
    shelf.put(STRANGER, "e", 16 * MIB)
    shelf.refusal(STRANGER, "f", 16 * MIB)
    shelf.quotas.forget("b")
    shelf.put(STRANGER, "f", 16 * MIB)

    assert shelf.there == set("bcdef")


def test_the_same_collection_counts_once(ledger):
    shelf = Shelf(ledger)

    for _ in range(3):
        shelf.put(STRANGER, "a", 40 * MIB)

    shelf.put(STRANGER, "b", 24 * MIB)


def test_one_collection_above_the_quota_is_refused_and_nothing_goes(ledger):
    shelf = Shelf(ledger)
    shelf.put(NEIGHBOUR, "a", 64 * MIB)

    shelf.refusal(STRANGER, "b", 65 * MIB)

    assert shelf.there == {"a"}


def test_four_streams_an_address_and_sixteen_a_key(ledger):
    quotas = Quotas(tolerant(ledger), None, 0)
    few = Caller("key", key=Key("bbbbbbbb", "0" * 64, streams=1))

    for caller, most in ((STRANGER, 4), (NEIGHBOUR, 4), (KEY, 16), (few, 1)):
        with ExitStack() as stack:
            for _ in range(most):
                stack.enter_context(quotas.stream(caller))
            with pytest.raises(QuotaExceeded) as caught:
                stack.enter_context(quotas.stream(caller))
        assert (caught.value.limit, caught.value.unit) == (most, "streams")
        # All of them are free again, and no more.
        with ExitStack() as again:
            for _ in range(most):
                again.enter_context(quotas.stream(caller))
            with pytest.raises(QuotaExceeded):
                again.enter_context(quotas.stream(caller))


def test_the_streams_of_a_worker_that_was_killed_end(ledger):
    dead, living = (Quotas(tolerant(ledger), None, 0, beat_s=0.1) for _ in range(2))
    stream = dead.stream(STRANGER)
    stream.__enter__()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(living.stream(STRANGER))
        # A killed process gives no signs of life.
        dead._held.clear()
        entered = eventually(lambda: holds(living, STRANGER))
        time.sleep(0.6)
        # Those of the living one go on.
        again = holds(dead, STRANGER)
        third = living.stream(STRANGER)
        with third, pytest.raises(QuotaExceeded), living.stream(STRANGER):
            raise AssertionError("a fifth stream")
    stream.__exit__(None, None, None)

    assert entered and again


def holds(quotas: Quotas, caller: Caller) -> bool:
    try:
        with quotas.stream(caller):
            return True
    except QuotaExceeded:
        return False


def eventually(true: Callable[[], bool], for_s: float = 60) -> bool:
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


def test_the_operator_and_whoever_cannot_be_told_apart_ask_nobody(tmp_path):
    class Silent:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked")

    quotas = Quotas(tolerant(Silent()), tolerant(Silent()), 0)
    local = Caller("local")

    quotas.keep(local, "a", 1 << 40, lambda _: True)
    with ExitStack() as stack:
        for caller in [local, HIDDEN] * 20:
            stack.enter_context(quotas.stream(caller))


def test_a_ledger_at_fault_refuses_nobody():
    class Broken:
        def __getattr__(self, name: str) -> Any:
            def fail(*_: Any) -> Any:
                raise LedgerError("the disk is full")

            return fail

    counted: list[int] = []
    broken = tolerant(Broken(), lambda: counted.append(1))
    quotas = Quotas(broken, broken, 0)

    quotas.keep(STRANGER, "a", 1 << 40, lambda _: True)
    quotas.forget("a")
    with quotas.stream(STRANGER):
        assert counted


def rows(count: int, text: str = "x") -> dict[str, Any]:
    return {
        "renderer": "card",
        "items": [{"title": f"{text}{n}"} for n in range(count)],
    }


def test_a_collection_over_the_quota_is_a_problem_and_is_not_kept(tmp_path):
    id, token = new_key()
    line = f'[keys.{id}]\nsha256 = "{digest_of(token)}"\n'
    line += 'scopes = ["draw:*", "read"]\nstored_bytes = 1500\n'
    settings = Settings(
        store=str(tmp_path), system_fonts=False, access_log=False, keys=line
    )
    app = create_app(settings)
    client, headers = app.test_client(), {"Authorization": f"Bearer {token}"}

    first = client.post("/collections", json=rows(2), headers=headers)
    again = client.post("/collections", json=rows(2), headers=headers)
    over = client.post("/collections", json=rows(40, "y"), headers=headers)
    at_once = client.post("/collections.zip", json=rows(40, "y"), headers=headers)
    stranger = client.post("/collections", json=rows(40, "y"))
    place = first.headers["Location"]
    gone = client.delete(place, headers=headers)
    after = client.post("/collections", json=rows(2, "z"), headers=headers)

    app.extensions["mimeo"].close()
    assert (first.status_code, again.status_code) == (201, 200)
    assert (over.status_code, at_once.status_code) == (429, 429)
    told = over.get_json()
    assert told["type"] == "/problems/quota-exceeded"
    assert (told["limit"], told["unit"]) == (1500, "bytes")
    assert over.headers["RateLimit-Policy"] == '"default";q=1500'
    assert stranger.status_code == 201
    assert (gone.status_code, after.status_code) == (204, 201)


def opened(server: Server, path: str) -> socket.socket:
    """Ask for a collection, and read no more of it than its status."""
    there = socket.create_connection(urlsplit(server.url).netloc.split(":"), 60)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    there.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return there


def status(there: socket.socket) -> int:
    return int(there.recv(64).split()[1])


def test_streams_are_counted_over_workers_and_a_killed_worker_frees_its_own(
    tmp_path: Path,
) -> None:
    settings = {
        "MIMEO_LOCAL_CALLERS": "off",
        "MIMEO_STORE": str(tmp_path),
        "MIMEO_RATE_ANONYMOUS": "none",
    }
    body = json.dumps(rows(5000)).encode()
    with serve(settings=settings) as server, ExitStack() as stack:
        made = server.ask(
            "/collections", "POST", body, {"Content-Type": "application/json"}
        )
        path = f"{made.headers['Location']}.zip"

        def ask() -> int:
            there = stack.enter_context(closing(opened(server, path)))
            return status(there)

        four = [ask() for _ in range(4)]
        fifth = ask()
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
        freed = eventually(lambda: ask_safely(ask) == 200, 90)

    assert (four, fifth) == ([200] * 4, 429)
    assert freed


def ask_safely(ask: Callable[[], int]) -> int:
    """Ask a server whose workers may not be there yet."""
    try:
        return ask()
    except (OSError, IndexError):
        return 0


PAGES = [
    {"Origin": "https://page.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "page.example"},
]


@pytest.mark.parametrize("page", PAGES, ids=str)
@pytest.mark.parametrize("path", ["/collections", "/collections.json"])
def test_uploads_of_a_page_fill_their_own_room_and_evict_nothing(tmp_path, page, path):
    """A form of another origin, sent sixteen times, evicted the operator's own."""
    settings = Settings(
        store=str(tmp_path),
        system_fonts=False,
        access_log=False,
        collections_bytes=MIB,
        local_callers=True,
    )
    app = create_app(settings)
    client = app.test_client()
    own = client.post("/collections", json=rows(3)).headers["Location"]
    whole = client.get(f"{own}.json").data

    statuses = []
    for number in range(16):
        # A picture that no other has, of a sixteenth of the room.
        picture = random.Random(number).randbytes(MIB // 16)
        parts = {
            "renderer": "card",
            "rows": (io.BytesIO(b"title,image\nA,a.png\n"), "rows.csv", "text/csv"),
            "photo": (io.BytesIO(picture), "a.png", "image/png"),
        }
        answer = client.post(path, data=parts, headers=page)
        statuses.append(answer.status_code)
        answer.close()
    kept = client.get(f"{own}.json")

    app.extensions["mimeo"].close()
    assert set(statuses[:3]) <= {200, 201, 422}
    assert set(statuses[8:]) == {429}
    assert (kept.status_code, kept.data) == (200, whole)
