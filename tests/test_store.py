"""The store keeps bytes by key, whole or not at all, within its bound."""

import os
import threading
from pathlib import Path

import pytest

from app.store import SWEEPER, NoStore, ObjectStore, StoreError, open_store

LIMIT = 1 << 20


@pytest.fixture(params=["folder", "memory:"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    url = "memory:" if request.param == "memory:" else str(tmp_path / "store")
    opened = open_store(url, LIMIT)
    assert isinstance(opened, ObjectStore)
    return opened


def test_bytes_come_back(store: ObjectStore) -> None:
    store.put("ab" * 32, b"one")

    assert store.get("ab" * 32) == b"one"


def test_absent_key_is_none(store: ObjectStore) -> None:
    assert store.get("cd" * 32) is None


def test_sweep_keeps_the_newest_within_the_bound(store: ObjectStore) -> None:
    keys = [f"{index:064x}" for index in range(40)]
    for key in keys:
        store.put(key, os.urandom(LIMIT // 20))

    store.sweep()

    kept = [key for key in keys if store.get(key) is not None]
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
    store = ObjectStore(tmp_path, LIMIT)
    for index in range(3):
        store.put(f"{index:064x}", bytes(LIMIT // 10))
    listed = [*store._entries(), (0.0, LIMIT, "media/00/gone")]
    monkeypatch.setattr(store, "_entries", lambda: iter(listed))

    assert store.sweep() >= LIMIT


def test_entry_that_would_fill_the_store_is_refused(store: ObjectStore) -> None:
    with pytest.raises(StoreError, match="too many"):
        store.put("ab" * 32, bytes(LIMIT // 2))


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


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match="cannot write"):
        open_store(str(tmp_path / "file" / "store"), LIMIT)


def test_none_keeps_nothing() -> None:
    store = open_store("none", LIMIT)
    store.put("ab" * 32, b"one")

    assert isinstance(store, NoStore)
    assert store.get("ab" * 32) is None


def _wait_for_sweeps() -> None:
    for thread in threading.enumerate():
        if thread.name == SWEEPER:
            thread.join(5)
