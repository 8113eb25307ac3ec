"""What a service made is paid for once, whoever asks, and comes in every format."""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from app.collection.collection import Item
from app.collection.lookahead import Bounds, look_ahead
from app.collection.outcome import Drawn, Failed
from app.config import Settings
from app.image_request import ImageRequest, from_strings
from app.media import Media
from app.pipeline.admission import Busy
from app.pipeline.pipeline import Pipeline
from app.pipeline.purchases import Purchases
from app.renderer.base import Absent
from app.renderer.errors import BadParameter, LimitExceeded, Undrawable
from app.store import NoStore, Pauses, Store, StoreError, key_for, open_store
from app.upstream.errors import BadMedia, CircuitOpen
from tests.far import Far, picture

Line = Callable[..., Pipeline]


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def line(tmp_path: Path) -> Line:
    def build(store: Store | None = None, **changes: int) -> Pipeline:
        settings = replace(Settings(), **changes)  # type: ignore[arg-type]
        paid = store or open_store(str(tmp_path), 1 << 30, "paid")
        return Pipeline(
            settings,
            open_store(str(tmp_path), 1 << 30),
            purchases=Purchases(paid, settings.threads),
        )

    return build


def ask(far: Far, format: str = "png", prompt: str = "a ship", **more: str):
    pairs = [("prompt", prompt), *more.items()]
    return from_strings(far.renderer(), pairs, format, Settings())


def svg(inside: str) -> bytes:
    root = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">'
    return f"{root}{inside}</svg>".encode()


def test_bytes_in_the_format_asked_for_are_handed_on_untouched(far, line):
    production = line().produce(ask(far))

    assert production.media.data == picture(1)
    assert production.source == "miss"
    assert production.media.facts["seed"] == 1


def test_the_second_request_costs_nothing(far, line):
    first = line().produce(ask(far))

    again = line().produce(ask(far))

    assert again.media == first.media
    assert again.source == "hit"
    assert far.made == 1


@pytest.mark.parametrize("format", ["webp", "jpeg", "avif", "gif"])
def test_every_format_is_made_of_one_purchase(far, line, format):
    pipeline = line()
    pipeline.produce(ask(far))

    other = pipeline.produce(ask(far, format)).media

    assert far.made == 1
    assert other.media_type == f"image/{format}"
    assert other.facts["converted_from"] == "image/png"
    assert other.facts["seed"] == 1
    assert Image.open(io.BytesIO(other.in_memory)).size == (8, 8)


def test_the_service_is_asked_for_the_format_that_is_wanted(far, line):
    far.format = "WEBP"

    production = line().produce(ask(far, "webp"))

    assert [wanted.format for wanted in far.wanted] == ["webp"]
    assert production.media.data == picture(1, "WEBP")


def test_an_option_of_the_encoding_is_honoured(far, line):
    far.format = "WEBP"

    production = line().produce(ask(far, "webp", quality="5"))

    assert production.media.data != picture(1, "WEBP")
    assert production.media.facts["converted_from"] == "image/webp"


def test_another_prompt_is_another_purchase(far, line):
    pipeline = line()

    one = pipeline.produce(ask(far))
    two = pipeline.produce(ask(far, prompt="a boat"))

    assert one.media.sha256 != two.media.sha256


def test_fifty_at_once_are_one_purchase(far, line):
    far.go.clear()
    pipeline = line(threads=128)
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(pipeline.produce, ask(far)) for _ in range(50)]
        far.go.set()
        shas = {future.result().media.sha256 for future in futures}

    assert len(shas) == 1
    assert far.made == 1


def test_two_processes_that_share_a_folder_buy_once(far, line):
    far.go.clear()
    lines = [line(), line()]
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(each.produce, ask(far)) for each in lines]
        far.go.set()
        sources = sorted(future.result().source for future in futures)

    assert far.made == 1
    assert sources in (["collapsed", "miss"], ["hit", "miss"])


def test_a_patient_purchase_outlives_the_impatient_one_that_it_joined(far, line):
    far.go.clear()
    far.errors = [CircuitOpen("far", 1)]
    pipeline = line()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(pipeline.produce, ask(far))
        while not far.wanted:
            threading.Event().wait(0.01)
        patient = pipeline.submit(ask(far), threading.Event(), keep=False)
        threading.Event().wait(0.1)
        far.go.set()

        assert isinstance(first.exception(20), CircuitOpen)
        assert patient.result(20).in_memory == picture(1)


class Held(NoStore):
    """A store in which another process holds the lock of one key, and keeps it."""

    def __init__(self, key: str) -> None:
        self.key = key

    @contextmanager
    def lock(self, key: str, pauses: Pauses) -> Iterator[bool]:
        if key == self.key:
            for pause in pauses:
                threading.Event().wait(pause)
        yield False


def test_a_row_that_another_process_buys_for_too_long_fails_alone(far, line):
    far.total_s = 0.5
    requests = [ask(far, prompt=f"ship {number}") for number in range(4)]
    held = Held(key_for(f"{requests[1].purchase} 1"))
    items = [Item(n, f"{n}.png", request) for n, request in enumerate(requests, 1)]
    submit = partial(line(held).submit, keep=False)

    outcomes = list(look_ahead(items, submit, Bounds(4, 1 << 20)))

    assert [type(each) for each in outcomes] == [Drawn, Failed, Drawn, Drawn]
    assert isinstance(outcomes[1].error, Busy)
    assert outcomes[1].error.transient


def test_half_of_the_threads_wait_for_services_and_no_more(far, line):
    far.go.clear()
    pipeline = line(threads=4)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(pipeline.produce, ask(far, prompt=f"{n}")) for n in "ab"]
        while len(far.wanted) < 2:
            threading.Event().wait(0.01)

        with pytest.raises(Busy):
            pipeline.produce(ask(far, prompt="c"))

        far.go.set()
        for future in waiting:
            future.result()


def test_an_error_is_told_to_all_and_kept_by_none(far, line):
    pipeline = line()
    far.error = Undrawable("no")
    with pytest.raises(Undrawable):
        pipeline.produce(ask(far))
    far.error = None

    assert pipeline.produce(ask(far)).source == "miss"


def test_what_the_service_cannot_be_told_is_said_before_anything_is_sent(far, line):
    far.refused = "ship"

    with pytest.raises(BadParameter, match="prompt"):
        line().produce(ask(far))

    assert not far.wanted


def test_several_images_are_one_call_and_come_again(far, line):
    far.missing = 1

    first = line().buy(ask(far), 3, None)
    again = line().buy(ask(far), 3, None)

    assert [image.data for image in first.media] == [picture(1), picture(2)]
    assert first.absent == (Absent("a filter kept it", filtered=True),)
    assert again == replace(first, source="hit")
    assert len(far.wanted) == 1


def test_an_image_that_was_swept_is_bought_again(far, line, tmp_path):
    first = line().buy(ask(far), 2, None)
    name = first.media[1].fingerprint
    (tmp_path / "paid" / name[:2] / name).unlink()

    again = line().buy(ask(far), 2, None)

    assert again.source == "miss"
    assert len(far.wanted) == 2


def test_a_damaged_note_is_bought_anew(far, line, tmp_path):
    far.missing = 1
    request = ask(far)
    line().buy(request, 2, None)
    (note,) = tmp_path.glob(f"paid/*/{key_for(f'{request.purchase} 2')}")
    whole = note.read_bytes()

    for at in range(len(whole)):
        note.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert line().buy(request, 2, None).source == "miss"
        assert line().buy(request, 2, None).source == "hit"


def test_peek_tells_what_was_bought_without_buying(far, line):
    pipeline = line()
    before = pipeline.peek(ask(far))
    media = pipeline.produce(ask(far)).media

    known = pipeline.peek(ask(far))

    assert before is None
    assert known is not None
    assert (known.sha256, known.facts) == (media.sha256, media.facts)


def test_peek_knows_another_format_only_when_it_is_made(far, line):
    pipeline = line()
    pipeline.produce(ask(far))
    before = pipeline.peek(ask(far, "webp"))
    media = pipeline.produce(ask(far, "webp")).media

    known = pipeline.peek(ask(far, "webp"))

    assert before is None
    assert known is not None
    assert known.sha256 == media.sha256


def test_images_of_a_collection_are_kept_too(far, line):
    pipeline = line()
    media: Media = pipeline.submit(ask(far), threading.Event(), keep=False).result(20)

    assert pipeline.produce(ask(far)).source == "hit"
    assert isinstance(media.data, bytes)
    assert [wanted.patient for wanted in far.wanted] == [True]


def test_a_large_image_comes_back_as_a_view_of_a_file(far, line):
    far.data = picture(1, "BMP", side=700)
    far.format = "BMP"
    line().buy(ask(far), 1, None)

    again = line().buy(ask(far), 1, None)

    assert isinstance(again.media[0].data, memoryview)
    assert again.media[0].in_memory == far.data


def test_an_image_is_found_by_its_fingerprint(far, line):
    pipeline = line()
    bought = pipeline.buy(ask(far), 1, None).media[0]
    converted = pipeline.produce(ask(far, "webp")).media

    assert pipeline.find(bought.fingerprint) == bought
    assert pipeline.find(converted.fingerprint) == converted
    assert pipeline.find("0" * 64) is None


def test_bytes_that_nobody_here_reads_are_named(far, line):
    far.data, far.format = b"\xff\x0a" + bytes(99), "JXL"

    with pytest.raises(BadMedia, match=r"'far' sent .* image/jxl: .* cannot be read"):
        line().produce(ask(far))


def test_a_drawing_is_drawn_in_the_format_asked_for(far, line):
    far.data, far.format = svg('<rect width="8" height="8" fill="red"/>'), "SVG+XML"

    pipeline = line()
    with closing(pipeline):
        media = pipeline.produce(ask(far)).media

    assert Image.open(io.BytesIO(media.in_memory)).convert("RGB").getcolors() == [
        (64, (255, 0, 0))
    ]
    assert (media.media_type, media.facts["seed"]) == ("image/png", 1)
    assert media.facts["converted_from"] == "image/svg+xml"


def test_a_drawing_that_cannot_be_drawn_is_the_fault_of_the_service(far, line):
    far.data, far.format = svg("<unclosed>"), "SVG+XML"

    pipeline = line()
    with closing(pipeline), pytest.raises(BadMedia, match="'far' sent no usable"):
        pipeline.produce(ask(far))


def test_too_many_pixels_to_convert_are_named_before_decoding(far, line):
    with pytest.raises(LimitExceeded, match="MIMEO_MAX_PIXELS"):
        line(max_pixels=63).produce(ask(far, "webp"))


class Broken(NoStore):
    """Fails at every use."""

    def get(self, key):
        raise StoreError("no disk")

    def put(self, key, data):
        raise StoreError("no disk")

    def read(self, key, start, stop):
        raise StoreError("no disk")

    def lock(self, key, pauses):
        raise StoreError("no disk")


def test_a_store_at_fault_costs_the_keeping_not_the_image(far, line, caplog):
    far_request: ImageRequest = ask(far)

    production = line(Broken(), threads=4).produce(far_request)

    assert production.media.data == picture(1)
    assert "a paid image could not be kept" in caplog.text
