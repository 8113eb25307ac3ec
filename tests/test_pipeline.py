"""The pipeline draws once, keeps what it drew, and says how it came about."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from PIL import Image

from app.admission import Busy
from app.config import Settings
from app.imagerequest import ImageRequest, from_strings
from app.pipeline import Pipeline
from app.renderer.base import Picture, Renderer
from app.renderer.errors import Undrawable
from app.renderer.params import Canvas
from app.store import StoreError, open_store


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


def test_equal_requests_at_one_moment_are_drawn_once(drawing: Drawing) -> None:
    line = pipeline()
    drawing.go.clear()
    sources: list[str] = []

    def ask() -> None:
        sources.append(line.produce(drawing.request()).source)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: drawing.calls == 1)
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


class BrokenStore:
    def get(self, key: str) -> bytes | None:
        raise StoreError("disk on fire")

    def put(self, key: str, data: bytes) -> None:
        raise StoreError("disk full")


def test_store_at_fault_costs_no_answer_and_is_logged(
    drawing: Drawing, caplog: pytest.LogCaptureFixture
) -> None:
    made = Pipeline(Settings(), BrokenStore()).produce(drawing.request())

    assert made.source == "miss"
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ["store: disk on fire", "store: disk full"]


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")
