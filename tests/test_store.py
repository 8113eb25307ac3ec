"""The store keeps bytes by key, whole or not at all, within its bound."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import obstore
import pytest
import requests
from moto.server import ThreadedMotoServer
from obstore.store import from_url

from app.store import (
    SWEEPER,
    BoundedStore,
    FolderStore,
    Locked,
    NoStore,
    Pauses,
    Store,
    StoreError,
    get_or_create,
    open_store,
)
from tests.faulty_disk import full_disk
from tests.s3_server import access, serving

LIMIT = 1 << 20
# More than one part of a multipart upload.
LARGE = 12 << 20
KEY = "ab" * 32
HOLD = """
import sys, time
from app.store import open_store
with open_store(sys.argv[1], 1 << 20).lock("ab" * 32, (0 for _ in ())):
    print("held", flush=True)
    time.sleep(60)
"""
# Writes half of an entry.
BEGIN = """
import sys, time
from app.store import open_store
def pieces():
    yield bytes(1 << 16)
    print("begun", flush=True)
    time.sleep(60)
open_store(sys.argv[1], 1 << 20).put("ab" * 32, pieces())
"""
# Four threads write when the process is told to; the number of winners is printed.
CREATE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from app.store import open_store
store = open_store(sys.argv[1], 1 << 20)
store.get("ab" * 32)
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    data = (f"{sys.argv[2]} {number}".encode() for number in range(4))
    print(sum(pool.map(store.create, ["ab" * 32] * 4, data)))
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server in this process with one bucket; its base URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    requests.put(f"{url}/bucket", timeout=10).raise_for_status()
    yield url
    server.stop()


@pytest.fixture(scope="module")
def real_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server that people run, with one bucket; its base URL."""
    with serving(tmp_path_factory.mktemp("seaweed")) as url:
        yield url


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    return open_store(connect(s3, monkeypatch, tmp_path), LIMIT)


def connect(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    """Set the environment for an S3 server; return a folder of its bucket."""
    for name, value in access(url).items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{folder.name}"


@pytest.fixture(params=["folder", "memory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store that keeps something, with room for large entries."""
    if request.param == "bucket":
        made: Store = request.getfixturevalue("bucket")
        return made
    url = "memory:" if request.param == "memory" else str(tmp_path / "store")
    return open_store(url, 1 << 30)


@pytest.fixture(params=["folder", "bucket", "real bucket"])
def shared(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The URL of each kind of store that processes share."""
    if request.param == "folder":
        return str(tmp_path)
    server = "s3" if request.param == "bucket" else "real_s3"
    return connect(request.getfixturevalue(server), monkeypatch, tmp_path)


@pytest.fixture(params=["folder", "memory"])
def bounded(request: pytest.FixtureRequest, tmp_path: Path) -> BoundedStore:
    url = "memory:" if request.param == "memory" else str(tmp_path / "store")
    opened = open_store(url, LIMIT)
    assert isinstance(opened, BoundedStore)
    return opened


def test_bytes_come_back(store: Store) -> None:
    store.put(KEY, b"one")

    assert store.get(KEY) == b"one"
    assert store.has(KEY)


def test_absent_key_is_none(store: Store) -> None:
    assert store.get("cd" * 32) is None
    assert store.read("cd" * 32, 0, 9) is None
    assert not store.has("cd" * 32)


def test_a_suffix_makes_another_key(store: Store) -> None:
    store.put(KEY, b"one")
    store.put(f"{KEY}.archive", b"two")

    assert store.get(KEY) == b"one"
    assert store.get(f"{KEY}.archive") == b"two"


@pytest.mark.parametrize("key", ["", "../" + KEY, KEY.upper(), KEY + "/X", KEY + ".A"])
def test_what_is_no_key_is_refused(store: Store, key: str) -> None:
    uses = (store.get, store.has)
    writes = (store.put, store.create)
    for use in (*uses, *(lambda key, w=write: w(key, b"one") for write in writes)):
        with pytest.raises(ValueError, match="is not a key"):
            use(key)


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [
        (0, 4, b"0123"),
        (3, 9, b"3456789"[:6]),
        (8, 99, b"89"),
        (10, 12, b""),
        (50, 51, b""),
    ],
)
def test_a_range_is_short_at_the_end(
    store: Store, start: int, stop: int, found: bytes
) -> None:
    store.put(KEY, b"0123456789")

    assert store.read(KEY, start, stop) == found


def test_a_range_takes_no_more_memory_than_the_entry(store: Store) -> None:
    store.put(KEY, b"0123456789")

    assert store.read(KEY, 4, 1 << 33) == b"456789"


def test_what_is_there_is_not_created_again(store: Store) -> None:
    first = store.create(KEY, b"one")

    second = store.create(KEY, b"two")

    assert (first, second, store.get(KEY)) == (True, False, b"one")


def test_of_sixteen_threads_that_create_one_wins(store: Store) -> None:
    data = [f"writer {number}".encode() * 1000 for number in range(16)]
    start = threading.Barrier(16)

    def create(block: bytes) -> bool:
        start.wait(10)
        return store.create(KEY, block)

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(create, data))

    assert won.count(True) == 1
    assert store.get(KEY) == data[won.index(True)]


def test_of_four_processes_with_four_threads_that_create_one_wins(shared: str) -> None:
    command = [sys.executable, "-c", CREATE, shared]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, name], **pipes) for name in "abcd"]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"

    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    won = [int(writer.communicate(timeout=60)[0]) for writer in writers]

    assert sorted(won) == [0, 0, 0, 1]
    kept = open_store(shared, LIMIT).get(KEY)
    assert bytes(kept).decode()[0] == "abcd"[won.index(1)]


def test_all_who_get_or_create_have_the_same(store: Store) -> None:
    data = [str(number).encode() for number in range(16)]

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(partial(get_or_create, store, KEY), data))

    assert found == {store.get(KEY)}


def test_a_created_file_is_never_seen_half_written(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), 1 << 30)
    keys, seen = [f"{number:064x}" for number in range(100)], set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.update(len(store.get(key) or b"") for key in keys)

    reader = threading.Thread(target=read)
    reader.start()
    for key in keys:
        store.create(key, bytes(100_000))
    done.set()
    reader.join()

    assert seen <= {0, 100_000}


def test_an_iterator_is_kept_whole(store: Store) -> None:
    pieces = [os.urandom(1 << 20) for _ in range(LARGE >> 20)]

    store.put(KEY, iter(pieces))

    assert store.get(KEY) == b"".join(pieces)
    assert (
        store.read(KEY, (5 << 20) - 2, (5 << 20) + 2) == pieces[4][-2:] + pieces[5][:2]
    )


def test_an_iterator_that_fails_leaves_nothing(store: Store) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(LARGE >> 20):
            yield bytes(1 << 20)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.put(KEY, pieces())

    assert not store.has(KEY)


@pytest.mark.parametrize("data", [bytes(4096), [bytes(8)] * 512], ids=["bytes", "many"])
def test_a_write_that_fails_leaves_no_file(
    tmp_path: Path, data: bytes | list[bytes]
) -> None:
    store = open_store(str(tmp_path), LIMIT)

    with full_disk(), pytest.raises(StoreError, match="cannot write"):
        store.put(KEY, data if isinstance(data, bytes) else iter(data))

    assert not store.has(KEY)
    assert files(tmp_path) == []


def test_an_iterator_that_fails_leaves_no_file(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), LIMIT)

    with pytest.raises(ZeroDivisionError):
        store.put(KEY, (1 // left * b"x" for left in range(3, -1, -1)))

    assert files(tmp_path) == []


def test_what_a_killed_process_was_writing_is_swept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, "media", LIMIT)
    (tmp_path / "scratch").mkdir()
    stale, young = tmp_path / "scratch/media-aa", tmp_path / "scratch/media-bb"
    stale.write_bytes(b"half of")
    young.write_bytes(b"half of")
    os.utime(stale, (0, 0))

    store.put(KEY, bytes(LIMIT // 10))
    _wait_for_sweeps()

    assert not stale.exists()
    assert young.exists()


@contextmanager
def half_written(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has written half of an entry, a minute ago."""
    writer = subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(folder)], stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        (staged,) = (folder / "scratch").iterdir()
        minute_ago = time.time() - 60
        os.utime(staged, (minute_ago, minute_ago))
        try:
            yield writer
        finally:
            writer.kill()


def test_the_next_to_start_sweeps_what_a_killed_process_left(tmp_path: Path) -> None:
    with half_written(tmp_path) as writer:
        open_store(str(tmp_path), LIMIT)
        while_it_lives = files(tmp_path)
        writer.kill()
        writer.wait()
        open_store(str(tmp_path), LIMIT, "collections")
        by_another_room = files(tmp_path)
        open_store(str(tmp_path), LIMIT)

    assert len(while_it_lives) == len(by_another_room) == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize("data", [bytes(4096), [bytes(8)] * 512], ids=["bytes", "many"])
def test_a_write_that_fails_makes_room_of_what_a_killed_process_left(
    tmp_path: Path, data: bytes | list[bytes]
) -> None:
    store = open_store(str(tmp_path), LIMIT)
    with half_written(tmp_path):
        pass
    assert len(files(tmp_path)) == 1

    with full_disk(), pytest.raises(StoreError, match="cannot write"):
        store.put(KEY, data if isinstance(data, bytes) else iter(data))

    assert files(tmp_path) == []


def test_what_was_bought_is_on_the_disk_before_it_counts_as_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}"))
    )

    open_store(str(tmp_path), LIMIT, "purchases", durable=True).put(KEY, b"paid")
    open_store(str(tmp_path), LIMIT, "media").put(KEY, b"drawn")

    staged, folder = (Path(name).relative_to(tmp_path).parts[0] for name in synced)
    assert (staged, folder) == ("scratch", "purchases")


def test_a_room_is_read_and_swept_for_itself(tmp_path: Path) -> None:
    media = open_store(str(tmp_path), LIMIT)
    media.put(KEY, bytes(LIMIT // 10))
    collections = FolderStore(tmp_path, "collections", 1)

    freed = collections.sweep()

    assert (freed, collections.has(KEY), media.has(KEY)) == (0, False, True)


def test_sweep_keeps_the_newest_within_the_bound(bounded: BoundedStore) -> None:
    keys = [f"{index:064x}" for index in range(40)]
    for key in keys:
        bounded.put(key, os.urandom(LIMIT // 20))

    bounded.sweep()

    kept = [key for key in keys if bounded.get(key) is not None]
    assert 0 < len(kept) * (LIMIT // 20) <= LIMIT
    assert keys[-1] in kept


def test_writing_on_keeps_the_store_bounded(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), LIMIT)

    for index in range(200):
        store.put(f"{index:064x}", bytes(LIMIT // 50))
        _wait_for_sweeps()

    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < LIMIT * 1.5


def test_sweep_goes_on_where_a_file_is_gone_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path, "media", LIMIT)
    for index in range(3):
        store.put(f"{index:064x}", bytes(LIMIT // 10))
    listed = [*store._entries(), (0.0, LIMIT, "media/00/gone")]
    monkeypatch.setattr(store, "_entries", lambda: iter(listed))

    assert store.sweep() >= LIMIT


@pytest.mark.parametrize("pieces", [1, 4])
def test_entry_that_would_fill_the_store_is_refused(
    bounded: BoundedStore, pieces: int
) -> None:
    data = bytes(LIMIT // 2 // pieces)

    with pytest.raises(StoreError, match="too many"):
        bounded.put(KEY, data if pieces == 1 else iter([data] * pieces))

    assert not bounded.has(KEY)


def test_two_stores_share_a_folder(tmp_path: Path) -> None:
    open_store(str(tmp_path), LIMIT).put("ef" * 32, b"shared")

    assert open_store(str(tmp_path), LIMIT).get("ef" * 32) == b"shared"


def test_no_partial_file_is_ever_seen(tmp_path: Path) -> None:
    store, key = open_store(str(tmp_path), LIMIT), "aa" * 32
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            block = store.get(key)
            seen.add(len(block or b""))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        store.put(key, bytes(50_000))
    stop.set()
    reader.join()

    assert seen <= {0, 50_000}


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_a_store_in_use_is_opened_though_the_disk_takes_nothing_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    open_store(str(tmp_path), LIMIT).put(KEY, b"one")
    with_fault(monkeypatch, code)

    assert open_store(str(tmp_path), LIMIT).get(KEY) == b"one"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_store_that_may_not_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    open_store(str(tmp_path), LIMIT)
    with_fault(monkeypatch, code)

    with pytest.raises(StoreError, match="cannot write to"):
        open_store(str(tmp_path), LIMIT)


def with_fault(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let nothing be touched any more."""

    def touch(path: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "touch", touch)


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match="cannot write"):
        open_store(str(tmp_path / "file" / "store"), LIMIT)


def test_none_keeps_nothing() -> None:
    store = open_store("none", LIMIT)
    store.put("ab" * 32, b"one")

    assert isinstance(store, NoStore)
    assert store.get("ab" * 32) is None


@pytest.mark.parametrize(
    ("url", "shared", "keeps"),
    [
        ("none", False, False),
        ("memory:", False, True),
        ("s3://bucket", True, True),
        ("folder", True, True),
    ],
)
def test_a_store_says_who_sees_what_it_keeps(
    url: str, shared: bool, keeps: bool, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path) if url == "folder" else url, LIMIT)

    assert (store.shared, store.keeps) == (shared, keeps)


def pauses(*seconds: float) -> Pauses:
    yield from seconds


@pytest.mark.parametrize("url", ["none", "memory:", "s3://bucket"])
def test_without_a_folder_there_is_no_lock(url: str) -> None:
    store = open_store(url, LIMIT)

    with store.lock(KEY, pauses()) as held:
        assert held is False


@pytest.mark.parametrize("size", [100, 12 << 20])
def test_what_makes_an_entry_may_read_the_store(store: Store, size: int) -> None:
    other = "cd" * 32
    store.put(other, b"x" * size)

    def copied() -> Iterator[bytes]:
        for start in range(0, size, 1 << 20):
            piece = store.read(other, start, start + (1 << 20))
            assert piece is not None
            yield piece

    store.put(KEY, copied())

    assert store.get(KEY) == b"x" * size


def test_a_key_is_held_once_at_a_time(tmp_path: Path) -> None:
    one, other = (open_store(str(tmp_path), LIMIT) for _ in range(2))

    with one.lock(KEY, pauses()) as first:
        with pytest.raises(Locked), other.lock(KEY, pauses(0.01, 0.01)):
            pass
        assert first is True
    with other.lock(KEY, pauses()) as third:
        assert third is True


def test_an_entry_is_made_once_and_held_as_long_as_its_maker_is_at_it(
    tmp_path: Path,
) -> None:
    one, other = (open_store(str(tmp_path), LIMIT) for _ in range(2))

    with one.hold(KEY) as made, other.hold(KEY) as again:
        assert (made, again, other.is_held(KEY)) == (True, False, True)
    with other.hold(KEY) as again:
        # Not by itself, who did not make it.
        assert (again, other.is_held(KEY)) == (False, False)
    assert other.get(KEY) == b""


def test_memory_makes_an_entry_once_and_nobody_else_is_there_to_hold_it() -> None:
    store = open_store("memory:", LIMIT)

    with store.hold(KEY) as made, store.hold(KEY) as again:
        assert (made, again, store.is_held(KEY)) == (True, False, False)


def test_no_key_waits_for_another_of_any_room(tmp_path: Path) -> None:
    keys = ["ab" * 31 + f"{number:02x}" for number in range(8)]
    rooms = [open_store(str(tmp_path), LIMIT, room) for room in ("media", "purchases")]

    with ExitStack() as stack:
        locks = [room.lock(key, pauses()) for room in rooms for key in keys]
        held = [stack.enter_context(lock) for lock in locks]

    assert held == [True] * 16


def test_whoever_waits_for_a_key_says_how_long(tmp_path: Path) -> None:
    def until_enough() -> Pauses:
        yield 0
        raise ZeroDivisionError

    store = open_store(str(tmp_path), LIMIT)
    with store.lock(KEY, pauses()):
        with pytest.raises(ZeroDivisionError), store.lock(KEY, until_enough()):
            pass

        with pytest.raises(Locked), store.lock(KEY, pauses()):
            pass


def test_whoever_gains_a_key_waits_no_longer(tmp_path: Path) -> None:
    waiting = pauses(1, 1)

    with open_store(str(tmp_path), LIMIT).lock(KEY, waiting):
        assert list(waiting) == []


def test_whoever_waits_gets_the_key_when_it_is_free(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), LIMIT)
    held = threading.Event()
    let_go = threading.Event()

    def hold() -> None:
        with store.lock(KEY, pauses()):
            held.set()
            let_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    threading.Timer(0.05, let_go.set).start()

    with store.lock(KEY, pauses(*[0.01] * 1000)) as gained:
        assert gained is True
    holder.join()


def test_sixteen_in_turn_hold_a_key_alone_and_leave_no_file(tmp_path: Path) -> None:
    stores = [open_store(str(tmp_path), LIMIT) for _ in range(16)]
    inside, most = [], []

    def hold(store: Store) -> None:
        for _ in range(20):
            with store.lock(KEY, pauses(*[0.001] * 20_000)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(hold, stores))

    assert (len(most), max(most)) == (320, 1)
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["media-sweep"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), LIMIT)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Locked), store.lock(KEY, pauses()):
            pass
        holder.kill()

    with store.lock(KEY, pauses()) as afterwards:
        assert afterwards is True


def test_locks_that_killed_processes_left_are_swept_and_held_ones_not(
    tmp_path: Path,
) -> None:
    store = FolderStore(tmp_path, "media", LIMIT)
    store.prove_writable()
    left = tmp_path / "locks/media-left"
    left.touch()
    os.utime(left, (0, 0))

    with store.lock(KEY, pauses()):
        (held,) = tmp_path.glob("locks/*-ab-*")
        os.utime(held, (0, 0))
        store.put(KEY, bytes(LIMIT // 10))
        _wait_for_sweeps()

        assert held.exists()
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["media-sweep"]


def test_locks_come_back_after_the_folder_was_emptied(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), LIMIT)
    shutil.rmtree(tmp_path / "locks")

    with store.lock(KEY, pauses()) as held:
        assert held is True


def test_a_bucket_without_an_account_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)

    with pytest.raises(StoreError, match=r"^cannot open az://b/p: .*Account.*$"):
        open_store("az://b/p", LIMIT)


def test_a_bucket_that_does_not_answer_is_a_fault(
    bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    store = open_store("s3://bucket", LIMIT)

    with pytest.raises(StoreError, match=f"^cannot read {KEY}: .*$"):
        store.get(KEY)
    with pytest.raises(StoreError, match="cannot write"):
        store.put(KEY, b"one")


def test_a_bucket_is_not_swept(bucket: Store) -> None:
    for index in range(3):
        bucket.put(f"{index:064x}", bytes(LIMIT))

    assert all(bucket.has(f"{index:064x}") for index in range(3))


OWN = {"locks", "format"}


def files(root: Path) -> list[Path]:
    """Return what the store left in a folder, but for its locks and format."""
    found = (path for path in root.rglob("*") if path.is_file())
    return [path for path in found if not {path.parent.name, path.name} & OWN]


def _wait_for_sweeps() -> None:
    for thread in threading.enumerate():
        if thread.name == SWEEPER:
            thread.join(5)


def test_a_folder_says_what_format_it_has(tmp_path):
    open_store(str(tmp_path), LIMIT)

    assert (tmp_path / "format").read_text() == "1\n"


def test_a_folder_of_before_is_taken_over(tmp_path):
    open_store(str(tmp_path), LIMIT).put(KEY, b"kept")
    (tmp_path / "format").unlink()

    store = open_store(str(tmp_path), LIMIT)

    assert store.get(KEY) == b"kept"
    assert (tmp_path / "format").read_text() == "1\n"


@pytest.mark.parametrize(
    ("text", "said"), [("2\n", "has format 2,"), ("two", "'two'"), ("0", "'0'")]
)
def test_a_folder_of_a_later_version_is_refused_and_left_alone(tmp_path, text, said):
    (tmp_path / "format").write_text(text)

    with pytest.raises(StoreError, match=said) as caught:
        open_store(str(tmp_path), LIMIT)

    assert "\n" not in str(caught.value)
    assert (tmp_path / "format").read_text() == text


def test_a_bucket_says_what_format_it_has(s3, monkeypatch, tmp_path):
    url = connect(s3, monkeypatch, tmp_path)
    entries = from_url(url)
    open_store(url, LIMIT).put(KEY, b"kept")
    mark = obstore.get(entries, "format").bytes().to_bytes()

    obstore.put(entries, "format", b"2\n")
    later = open_store(url, LIMIT)

    assert mark == b"1\n"
    for use in (lambda: later.get(KEY), lambda: later.put(KEY, b"other")):
        with pytest.raises(StoreError, match="has format 2,"):
            use()


@pytest.fixture(params=["folder", "memory", "bucket", "real bucket"])
def unbounded(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Store:
    """Each kind of store that keeps something, without a bound."""
    if request.param in ("bucket", "real bucket"):
        fixture = "s3" if request.param == "bucket" else "real_s3"
        url = connect(request.getfixturevalue(fixture), monkeypatch, tmp_path)
    else:
        url = "memory:" if request.param == "memory" else str(tmp_path / "store")
    return open_store(url, None, "jobs")


def test_keys_that_are_paths_are_listed_by_their_folder(unbounded: Store) -> None:
    other = "cd" * 32
    unbounded.put(f"{KEY}/job.json", b"{}")
    unbounded.put(f"{KEY}/chunks/0", iter((b"ab", b"c")))
    unbounded.put(f"{KEY}/chunks/10", b"d")
    unbounded.put(f"{other}/chunks/0", b"e")
    unbounded.put(KEY, b"no path")

    found = sorted(unbounded.below(f"{KEY}/chunks"))

    assert found == [(f"{KEY}/chunks/0", 3), (f"{KEY}/chunks/10", 1)]
    assert sorted(unbounded.folders()) == [KEY, other]
    assert len(unbounded.below(KEY)) == 3
    assert unbounded.read(f"{KEY}/chunks/0", 1, 3) == b"bc"


def test_a_list_may_begin_behind_a_name(unbounded: Store) -> None:
    names = ("attempts/0/0", "attempts/1/0", "cancelled", "chunks/0", "chunks/1", "a")
    for name in names:
        unbounded.put(f"{KEY}/{name}", b"x")

    def behind(after: str) -> set[str]:
        return {key.removeprefix(f"{KEY}/") for key, _ in unbounded.below(KEY, after)}

    assert behind("attempts0") == {"cancelled", "chunks/0", "chunks/1"}
    assert behind("attempts/0/0") == {"attempts/1/0", *behind("attempts0")}
    assert behind("cancelled") == {"chunks/0", "chunks/1"}
    assert behind("chunks/0") == {"chunks/1"}
    assert behind("") == set(names)


def test_a_list_has_what_is_there_though_another_entry_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path / "store"), None, "jobs")
    for name in ("job.json", "chunks/0", "chunks/1", "suspects/1/0"):
        store.put(f"{KEY}/{name}", b"a")
    scan = os.scandir
    going = {KEY: "suspects/1/0", "chunks": "chunks/1"}

    def scan_late(path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """List a folder; of what is listed another process deletes something."""
        with scan(path) as entries:
            listed = list(entries)
        store.delete(f"{KEY}/{going.pop(os.path.basename(path))}")
        return nullcontext(iter(listed))

    monkeypatch.setattr("app.store.rooms.os.scandir", scan_late)

    found = sorted(store.below(KEY))

    assert going == {}
    assert found == [(f"{KEY}/chunks/0", 1), (f"{KEY}/job.json", 1)]


# SeaweedFS shows a folder that is empty for a while.
@pytest.mark.parametrize("unbounded", ["folder", "memory", "bucket"], indirect=True)
def test_a_folder_goes_with_its_last_entry(unbounded: Store) -> None:
    unbounded.put(f"{KEY}/chunks/0", b"a")
    unbounded.put(f"{KEY}/job.json", b"b")

    unbounded.delete(f"{KEY}/chunks/0")
    left = unbounded.folders()
    unbounded.delete(f"{KEY}/job.json")

    assert left == [KEY]
    assert unbounded.folders() == unbounded.below(KEY) == []


def test_of_sixteen_who_create_a_path_one_does(unbounded: Store) -> None:
    data = [iter((f"{number:02}".encode(), b"." * 100_000)) for number in range(16)]
    key = f"{KEY}/chunks/7"

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(partial(unbounded.create, key), data))

    assert won.count(True) == 1
    kept = unbounded.get(key)
    assert kept is not None
    assert bytes(kept) == f"{won.index(True):02}".encode() + b"." * 100_000


@pytest.mark.parametrize("part", ["..", ".hidden", "A", "", "a/../b", "a\\b", "a\0"])
def test_a_path_has_plain_parts_only(unbounded: Store, part: str) -> None:
    for ask in (unbounded.get, unbounded.below, partial(unbounded.put, data=b"")):
        with pytest.raises(ValueError, match="is not a key"):
            ask(f"{KEY}/{part}")


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_without_a_bound_nothing_goes(kind: str, tmp_path: Path) -> None:
    url = "memory:" if kind == "memory" else str(tmp_path / "store")
    kept = open_store(url, None, "jobs")
    other = open_store(url, LIMIT, "media")

    for number in range(64):
        kept.create(f"{KEY}/chunks/{number}", bytes(LIMIT // 8))
        other.put(f"{number:064x}", bytes(LIMIT // 16))

    assert isinstance(kept, BoundedStore) and isinstance(other, BoundedStore)
    assert (kept.sweep(), len(kept.below(KEY))) == (0, 64)
    other.sweep()
    assert not other.has(f"{0:064x}")
