"""Images of others: prepared once however many drawings share them."""

import io
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from PIL import Image

from app.config import Settings
from app.renderer import input_image
from app.renderer.catalogue import PACKAGED
from app.renderer.errors import BadParameter, LimitExceeded
from app.renderer.input_image import Prepared, prepare, read
from app.renderer.template.template import load_template

MOST = 50_000_000


def stored(color: str = "red", size: tuple[int, int] = (400, 300)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def opened(monkeypatch) -> list[object]:
    """Everything that Pillow has opened."""
    seen: list[object] = []
    original = Image.open

    def spy(*args, **options):
        seen.append(args)
        return original(*args, **options)

    monkeypatch.setattr(Image, "open", spy)
    return seen


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch) -> None:
    monkeypatch.setattr(input_image, "_PREPARED", Prepared(1 << 20))


def test_an_image_that_many_drawings_share_is_prepared_once(engine, opened) -> None:
    card = load_template(PACKAGED / "card", engine, Settings())
    logo = stored()
    opened.clear()

    for name in ("Ada", "Grace", "Barbara"):
        card.draw(card.parameters(title=name, image=bytes(bytearray(logo))), 1)

    assert len(opened) == 1


def test_those_who_ask_at_one_moment_wait_for_the_first(opened) -> None:
    begun, go = Event(), Event()
    memo, calls = Prepared(100), []

    def make() -> bytes:
        calls.append(1)
        begun.set()
        go.wait(5)
        return b"made"

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(memo.get, "key", make) for _ in range(4)]
        begun.wait(5)
        go.set()
        answers = [one.result() for one in asked]

    assert (answers, len(calls)) == ([b"made"] * 4, 1)


def test_another_size_or_field_is_another_preparation() -> None:
    data = stored()

    large, small = (prepare(data, "a", cover, MOST) for cover in [(400, 300), (40, 30)])

    sizes = [Image.open(io.BytesIO(one)).size for one in (large, small)]
    assert sizes == [(400, 300), (40, 30)]
    for field in ("a", "b"):
        with pytest.raises(LimitExceeded) as caught:
            prepare(data, field, (40, 30), 100)
        assert caught.value.field == field


def test_what_is_remembered_is_bounded_in_bytes_and_the_oldest_goes() -> None:
    memo, made = Prepared(100), []

    def get(key: str, size: int) -> None:
        memo.get(key, lambda: made.append(key) or b"x" * size)

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key, 50)
    get("huge", 101)
    get("huge", 101)

    assert made == ["a", "b", "c", "b", "huge", "huge"]


def test_a_fault_is_not_remembered() -> None:
    memo = Prepared(100)

    with pytest.raises(ZeroDivisionError):
        memo.get("key", lambda: bytes(1 // 0))

    assert memo.get("key", lambda: b"made") == b"made"


def test_an_image_over_pillows_bound_meets_ours_alone() -> None:
    header = bytearray(stored(size=(1, 1)))
    header[16:24] = (20_000).to_bytes(4) * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)

    with pytest.raises(LimitExceeded) as caught:
        prepare(bytes(header), "photo", (40, 30), MOST)

    assert caught.value.limit == "MIMEO_MAX_IMAGE_PIXELS"
    assert caught.value.value == 400_000_000


def test_reading_an_image_changes_no_filter_of_warnings(monkeypatch) -> None:
    def refuse(*args, **options):
        raise AssertionError("the filters belong to all threads")

    monkeypatch.setattr(warnings, "catch_warnings", refuse)
    monkeypatch.setattr(warnings, "simplefilter", refuse)

    assert read(stored()).size == (400, 300)
    assert prepare(stored(), "photo", (40, 30), MOST)
    with pytest.raises(BadParameter):
        prepare(b"no image", "photo", (40, 30), MOST)
