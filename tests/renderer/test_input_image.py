"""Images of others: prepared once, or refused with the reason at a bounded cost."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from threading import Event

import pytest
from PIL import Image

from app.config import Settings
from app.renderer import input_image
from app.renderer.catalogue import PACKAGED
from app.renderer.errors import (
    BadParameter,
    LimitExceeded,
    RendererError,
    Undrawable,
)
from app.renderer.input_image import PreparedImages, prepare, read
from app.renderer.template.template import load_template
from tests.malformed_images import SAMPLES, mutants

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
    monkeypatch.setattr(input_image, "PREPARED", PreparedImages(1 << 20))


def test_an_image_that_many_drawings_share_is_prepared_once(engine, opened) -> None:
    card = load_template(PACKAGED / "card", engine, Settings())
    logo = stored()
    opened.clear()

    for name in ("Ada", "Grace", "Barbara"):
        card.draw(card.parameters(title=name, image=bytes(bytearray(logo))), 1)

    assert len(opened) == 1


def test_those_who_ask_at_one_moment_wait_for_the_first(opened) -> None:
    begun, go = Event(), Event()
    memo, calls = PreparedImages(100), []

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

    sizes = [Image.open(io.BytesIO(one.data)).size for one in (large, small)]
    assert sizes == [(400, 300), (40, 30)]
    for field in ("a", "b"):
        with pytest.raises(LimitExceeded) as caught:
            prepare(data, field, (40, 30), 100)
        assert caught.value.field == field


def test_what_is_remembered_is_bounded_in_bytes_and_the_oldest_goes() -> None:
    memo, made = PreparedImages(100), []

    def get(key: str, size: int) -> None:
        memo.get(key, lambda: made.append(key) or b"x" * size)

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key, 50)
    get("huge", 101)
    get("huge", 101)

    assert made == ["a", "b", "c", "b", "huge", "huge"]


def test_a_fault_is_not_remembered() -> None:
    memo = PreparedImages(100)

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

    assert read(stored(), MOST).size == (400, 300)
    assert prepare(stored(), "photo", (40, 30), MOST)
    with pytest.raises(BadParameter):
        prepare(b"no image", "photo", (40, 30), MOST)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_damaged_image_is_never_another_error(kind):
    for data in islice(mutants(SAMPLES[kind]), 250):
        with suppress(RendererError):
            prepare(data, "image", (30, 30), 10_000)
        with suppress(RendererError):
            read(data, 10_000)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("avif", RuntimeError), ("png", SyntaxError), ("animated avif", ArithmeticError)],
)
@pytest.mark.filterwarnings("ignore")
def test_errors_of_pillow_that_are_no_oserror_are_a_bad_parameter(kind, error):
    broken = next(d for d in mutants(SAMPLES[kind]) if isinstance(met(d), error))

    with pytest.raises(BadParameter, match="damaged"):
        prepare(broken, "image", (30, 30), 10_000)
    with pytest.raises(Undrawable):
        read(broken, 10_000)


def met(data: bytes) -> Exception | None:
    """Return the error that Pillow meets in an image."""
    try:
        Image.open(io.BytesIO(data)).load()
    except Exception as error:
        return error
    return None


def wide_bmp(width: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 32, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (wide_bmp(0x7FFFFFFF), 1 << 31),
        (wide_bmp(10_001), 10_000),
        (stored(size=(101, 100)), 10_000),
    ],
    ids=["a row that Pillow cannot count", "a BMP too large", "a PNG too large"],
)
def test_a_huge_image_of_a_service_is_undrawable(data, most):
    with pytest.raises(Undrawable):
        read(data, most)


def segment(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(data)) + data


_CHUNK = b"\0\0\0\0prVt" + struct.pack(">I", zlib.crc32(b"prVt"))


@pytest.mark.parametrize(
    ("kind", "head", "between"),
    [
        ("jpeg", 2, b"\xff" * (8 << 20)),
        ("jpeg", 2, b"\xff\xe0\0\2" * 500_000),
        (
            "jpeg",
            2,
            segment(b"Exif\0\0" + b"x" * 60_000) * 60 + segment(b"Exif\0\0x") * 9,
        ),
        ("png", 33, _CHUNK * 500_000),
    ],
    ids=["fill bytes", "segments", "EXIF", "chunks"],
)
def test_an_image_of_nothing_but_parts_is_refused(kind, head, between):
    data = SAMPLES[kind][:head] + between + SAMPLES[kind][head:]

    with pytest.raises(BadParameter, match="damaged"):
        prepare(data, "image", (30, 30), 10_000)


def test_what_is_remembered_of_images_can_be_bounded() -> None:
    images = input_image.PreparedImages[bytes](100)
    made: list[str] = []

    def make() -> bytes:
        made.append("made")
        return bytes(60)

    images.get("a", make)
    images.get("a", make)
    images.bound(50)
    images.get("b", make)
    images.get("a", make)

    assert len(made) == 3
