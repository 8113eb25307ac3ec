"""The pipeline draws once, keeps what it drew, and says how it came about."""

import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.config import Settings
from app.image_request import ImageRequest, from_strings
from app.pipeline.admission import (
    DEAR_S,
    AdmissionQueue,
    Busy,
    Cancelled,
    WaitPolicy,
)
from app.pipeline.pipeline import Pipeline, Production
from app.pipeline.singleflight import Singleflight
from app.renderer.base import Encoded, Picture, Renderer
from app.renderer.errors import Undrawable
from app.renderer.params import Canvas
from app.renderer.produce import produce
from app.renderer.sandbox.sandbox import Sandbox
from app.store import NoStore, Pauses, StoreError, open_store
from tests.waiting import wait_until


@dataclass
class Drawing:
    """A renderer that counts its calls and can be made to wait or to fail."""

    calls: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def draw(self, parameters: Canvas, scale: float) -> Picture:
        self.calls += 1
        assert self.go.wait(10)
        if self.error is not None:
            raise self.error
        return Picture(Image.new("RGB", parameters.size))

    def request(self, width: int = 8) -> ImageRequest:
        renderer = Renderer("test", "Test", Canvas, lambda given: given.size, self.draw)
        return from_strings(renderer, [("width", str(width))], "png", Settings())


@pytest.fixture
def drawing() -> Drawing:
    made = Drawing()
    made.go.set()
    return made


def pipeline(**changes: float) -> Pipeline:
    settings = replace(Settings(), **changes)  # type: ignore[arg-type]
    return Pipeline(settings, open_store("memory:", 1 << 20))


def test_second_request_comes_from_the_store(drawing: Drawing) -> None:
    line = pipeline()

    first = line.produce(drawing.request())
    second = line.produce(drawing.request())

    assert (first.source, second.source, drawing.calls) == ("miss", "hit", 1)
    assert first.media == second.media


def test_equal_requests_at_one_moment_are_drawn_once(
    drawing: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = pipeline()
    drawing.go.clear()
    sources: list[str] = []
    joined: list[str] = []
    join = Singleflight.join

    def count(self: Singleflight[Any], key: str) -> Any:
        found = join(self, key)
        joined.append(key)
        return found

    monkeypatch.setattr(Singleflight, "join", count)

    def ask() -> None:
        sources.append(line.produce(drawing.request()).source)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    # A thread that comes when all is over would rightly draw anew.
    wait_until(lambda: drawing.calls == 1 and len(joined) == 8)
    drawing.go.set()
    for thread in threads:
        thread.join()

    assert drawing.calls == 1
    assert sources.count("miss") == 1


def test_failure_reaches_all_who_wait_and_is_not_kept(drawing: Drawing) -> None:
    line = pipeline()
    drawing.error = Undrawable("no")
    with pytest.raises(Undrawable):
        line.produce(drawing.request())
    drawing.error = None

    assert line.produce(drawing.request()).source == "miss"


def test_no_turn_in_time_is_busy(drawing: Drawing) -> None:
    line = pipeline(queue_timeout_s=0)
    drawing.go.clear()
    threads = [
        threading.Thread(target=line.produce, args=(drawing.request(width),))
        for width in (1, 2)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: drawing.calls == 2)

    with pytest.raises(Busy):
        line.produce(drawing.request(3))

    drawing.go.set()
    for thread in threads:
        thread.join()


def test_those_who_wait_are_bounded(drawing: Drawing) -> None:
    line = pipeline(threads=4, queue_timeout_s=5)
    drawing.go.clear()
    threads = [
        threading.Thread(target=line.produce, args=(drawing.request(width),))
        for width in (1, 2, 3, 4)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: line._gate._waiting == 2)

    with pytest.raises(Busy):
        line.produce(drawing.request(5))
    with pytest.raises(Busy):
        line.produce(drawing.request(1))

    drawing.go.set()
    for thread in threads:
        thread.join()
    assert line.produce(drawing.request(5)).source == "miss"


class BrokenStore(NoStore):
    def get(self, key: str) -> bytes | None:
        raise StoreError("disk on fire")

    def put(self, key: str, data: bytes | Iterator[bytes]) -> None:
        raise StoreError("disk full")

    def lock(self, key: str, pauses: Pauses) -> AbstractContextManager[bool]:
        raise StoreError("no locks left")


def test_store_at_fault_costs_no_answer_and_is_logged(
    drawing: Drawing, caplog: pytest.LogCaptureFixture
) -> None:
    made = Pipeline(Settings(), BrokenStore()).produce(drawing.request())

    assert made.source == "miss"
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [
        "store: disk on fire",
        "store: no locks left",
        "store: disk full",
    ]


def test_a_damaged_block_counts_as_absent_and_is_drawn_anew(
    drawing: Drawing, tmp_path: Path
) -> None:
    line = Pipeline(Settings(), open_store(str(tmp_path), 1 << 30))
    request = drawing.request()
    first, known = line.produce(request).media, line.peek(request)
    (file,) = tmp_path.glob(f"media/*/{request.fingerprint}")
    whole = file.read_bytes()

    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        in_data = at >= len(whole) - len(first.data)
        assert line.peek(request) == (known if in_data else None)
        again = line.produce(request)
        assert (again.source, again.media) == ("miss", first)
        assert file.read_bytes() == whole


def test_peek_tells_what_is_stored_without_drawing(drawing: Drawing) -> None:
    line = pipeline()

    before = line.peek(drawing.request())
    media = line.produce(drawing.request()).media
    after = line.peek(drawing.request())

    assert before is None
    assert after is not None
    assert (after.size, after.sha256) == (len(media.data), media.sha256)
    assert (after.width, after.crc32) == (8, zlib.crc32(media.data))
    assert drawing.calls == 1


class Ask(threading.Thread):
    """One request in a thread of its own; how it ended is in `end`."""

    def __init__(self, line: Pipeline, request: ImageRequest, **how: Any) -> None:
        super().__init__()
        self._ask = partial(line.produce, request, **how)
        self.end: Production | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.end = self._ask()
        except Exception as error:
            self.end = error

    @property
    def source(self) -> str:
        self.join(10)
        assert isinstance(self.end, Production), self.end
        return self.end.source


@pytest.fixture
def held(drawing: Drawing) -> Drawing:
    """A renderer whose drawings wait for `go`."""
    drawing.go.clear()
    return drawing


def fill(line: Pipeline, held: Drawing) -> list[Ask]:
    """Take both slots of a pipeline."""
    asked = [Ask(line, held.request(width), patient=True) for width in (1, 2)]
    wait_until(lambda: held.calls == 2)
    return asked


def test_the_patient_wait_beyond_the_timeout(held: Drawing) -> None:
    line = pipeline(queue_timeout_s=0)
    fill(line, held)

    asked = [Ask(line, held.request(width), patient=True) for width in range(3, 9)]
    wait_until(lambda: len(line._singleflight._singleflight) == 8)
    held.go.set()

    assert [ask.source for ask in asked] == ["miss"] * 6


def test_the_patient_take_no_place_of_those_who_wait(held: Drawing) -> None:
    line = pipeline(threads=4, queue_timeout_s=5)
    fill(line, held)
    for width in range(3, 9):
        Ask(line, held.request(width), patient=True)
    wait_until(lambda: len(line._singleflight._singleflight) == 8)

    single = Ask(line, held.request(9))
    wait_until(lambda: line._gate._waiting == 1)
    held.go.set()

    assert single.source == "miss"


def test_a_single_image_goes_before_the_patient() -> None:
    gate = AdmissionQueue(1, 8, 10)
    order: list[str] = []

    def enter(name: str, patience: WaitPolicy) -> threading.Thread:
        def run() -> None:
            with gate.admit(patience, threading.Event()):
                order.append(name)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    with gate.admit(WaitPolicy(), threading.Event()):
        threads = [enter("patient", WaitPolicy()) for _ in range(3)]
        wait_until(lambda: len(gate._spare._waiters) == 3)  # type: ignore[attr-defined]
        threads += [enter("single", gate.patience()) for _ in range(2)]
        wait_until(lambda: len(gate._queue) == 2)
    for thread in threads:
        thread.join(10)

    assert order == ["single"] * 2 + ["patient"] * 3


def test_whoever_cancels_waits_no_longer(held: Drawing) -> None:
    line = pipeline()
    fill(line, held)
    cancelled = threading.Event()
    leader, follower = (
        Ask(line, held.request(3), patient=True, cancelled=cancelled) for _ in range(2)
    )
    wait_until(lambda: len(line._singleflight._singleflight) == 3)

    cancelled.set()
    leader.join(10)
    follower.join(10)

    assert isinstance(leader.end, Cancelled)
    assert isinstance(follower.end, Cancelled)
    held.go.set()


def test_a_cancelled_leader_takes_nobody_along(held: Drawing) -> None:
    line = pipeline()
    fill(line, held)
    cancelled = threading.Event()
    leader = Ask(line, held.request(3), patient=True, cancelled=cancelled)
    wait_until(lambda: len(line._singleflight._singleflight) == 3)
    follower = Ask(line, held.request(3))
    wait_until(lambda: line._gate._waiting == 1)

    cancelled.set()
    leader.join(10)
    held.go.set()

    assert isinstance(leader.end, Cancelled)
    assert follower.source == "miss"


def test_a_single_image_hurries_the_patient_whom_it_follows(held: Drawing) -> None:
    line = pipeline()
    fill(line, held)
    leader = Ask(line, held.request(3), patient=True)
    wait_until(lambda: len(line._singleflight._singleflight) == 3)

    follower = Ask(line, held.request(3))
    wait_until(lambda: len(line._gate._queue) == 1)
    held.go.set()

    assert (leader.source, follower.source) == ("miss", "collapsed")


def test_a_leader_who_finds_no_turn_speaks_for_itself_only(held: Drawing) -> None:
    line = pipeline(queue_timeout_s=0.3)
    fill(line, held)
    leader = Ask(line, held.request(3))
    wait_until(lambda: len(line._singleflight._singleflight) == 3)
    follower = Ask(line, held.request(3), patient=True)

    leader.join(10)
    held.go.set()

    assert isinstance(leader.end, Busy)
    assert follower.source == "miss"


def test_pipelines_that_share_a_folder_draw_once(held: Drawing, tmp_path: Path) -> None:
    lines = [Pipeline(Settings(), open_store(str(tmp_path), 1 << 24)) for _ in range(3)]
    asked = [Ask(line, held.request()) for line in lines for _ in range(4)]
    wait_until(
        lambda: sum(len(line._singleflight._singleflight) for line in lines) == 3
    )
    wait_until(lambda: sum(line._gate._waiting for line in lines) == 11)

    held.go.set()

    sources = [ask.source for ask in asked]
    assert held.calls == 1
    assert sorted(sources) == ["collapsed"] * 11 + ["miss"]


@pytest.mark.parametrize(
    "alike",
    [slice(0, 3), slice(-3, None), slice(30, 33)],
    ids=["first digits", "last digits", "others"],
)
def test_no_picture_waits_for_the_lock_of_another(
    drawing: Drawing, tmp_path: Path, alike: slice
) -> None:
    """Locks were shared by three digits of the key: others waited for seconds."""
    store = open_store(str(tmp_path), 1 << 24)
    first, other = two_alike(drawing, alike)
    line = Pipeline(replace(Settings(), queue_timeout_s=0.1), store)

    with store.lock(first.fingerprint, (0.0 for _ in ())):
        with pytest.raises(Busy):
            line.produce(first)
        made = line.produce(other)

    assert (made.source, drawing.calls) == ("miss", 1)


def two_alike(drawing: Drawing, alike: slice) -> tuple[ImageRequest, ImageRequest]:
    """Return two requests whose fingerprints have some digits in common."""
    seen: dict[str, ImageRequest] = {}
    for request in map(drawing.request, range(1, 8000)):
        digits = request.fingerprint[alike]
        if digits in seen:
            return seen[digits], request
        seen[digits] = request
    raise AssertionError("no two are alike")


class Beside(Sandbox):
    """Draws in this process, and says what it took as the other one does."""

    def produce(self, *wanted: Any) -> Encoded:
        return produce(*wanted)


@pytest.mark.parametrize("isolated", [True, False])
def test_a_drawing_that_waits_for_a_processor_is_not_large(
    drawing: Drawing, isolated: bool
) -> None:
    """On a busy machine small pages counted as large ones, and were refused."""

    def draw(parameters: Canvas, scale: float) -> Picture:
        time.sleep(2 * DEAR_S)
        return drawing.draw(parameters, scale)

    request = drawing.request()
    renderer = replace(request.renderer, draw=draw, isolated=isolated)
    request = replace(request, renderer=renderer)
    line = Pipeline(Settings(), NoStore(), isolation=Beside(Settings()))

    line.produce(request)

    assert line._costs.estimate(request).seconds < DEAR_S / 2


class LockedStore(NoStore):
    """A store whose locks another process holds; counts those not given back."""

    def __init__(self) -> None:
        self.open = self.most = 0

    @contextmanager
    def lock(self, key: str, pauses: Pauses) -> Iterator[bool]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            with closing(pauses):
                for pause in pauses:
                    time.sleep(pause)
            yield True
        finally:
            self.open -= 1


def test_a_lock_that_is_not_let_go_is_busy(drawing: Drawing) -> None:
    store = LockedStore()
    line = Pipeline(replace(Settings(), queue_timeout_s=0.1), store)

    with pytest.raises(Busy):
        line.produce(drawing.request())

    assert (store.open, store.most, drawing.calls) == (0, 1, 0)


def test_the_patient_wait_for_a_lock_until_they_are_told(drawing: Drawing) -> None:
    store = LockedStore()
    line = Pipeline(replace(Settings(), queue_timeout_s=0), store)
    cancelled = threading.Event()
    ask = Ask(line, drawing.request(), patient=True, cancelled=cancelled)
    wait_until(lambda: store.most == 1)

    cancelled.set()
    ask.join(10)

    assert isinstance(ask.end, Cancelled)
    assert (store.open, store.most, drawing.calls) == (0, 1, 0)
