"""What a drawing is expected to take."""

import base64

import pytest

from app.image_request import ImageRequest, from_strings
from app.pipeline import cost
from app.pipeline.cost import Costs, most_small

# More than enough for every picture that is allowed.
PLENTY = 8 << 30


@pytest.fixture
def ask(catalogue, settings):
    """Make a request of a renderer's name, a format and parameters."""

    def make(renderer: str, format: str = "png", **given: object) -> ImageRequest:
        pairs = [(key, str(value)) for key, value in given.items()]
        return from_strings(catalogue.get(renderer), pairs, format, settings)

    return make


def seconds_of(costs: Costs, request: ImageRequest) -> float:
    return costs.estimate(request).seconds


def learn(costs: Costs, request: ImageRequest, took_s: float) -> None:
    costs.learn(costs.estimate(request), took_s)


def is_large(request: ImageRequest, took_s: float) -> bool:
    """Tell what is said of a request after one like it took so long."""
    costs = Costs(PLENTY)
    learn(costs, request, took_s)
    return costs.estimate(request).large


def test_what_was_never_drawn_is_expected_by_pixels_and_format(ask):
    costs = Costs(PLENTY)
    small, large, avif = (
        seconds_of(costs, ask("gradient", format, width=side, height=side))
        for format, side in (("png", 500), ("png", 1000), ("avif", 1000))
    )

    assert large == pytest.approx(4 * small)
    assert avif == pytest.approx(8 * large)


def test_what_drawings_took_is_expected_of_others_like_them(ask):
    costs = Costs(PLENTY)
    for _ in range(40):
        learn(costs, ask("dream", width=1000, height=1000, prompt="a"), 2.0)

    other = ask("dream", width=1100, height=900, prompt="b")
    assert seconds_of(costs, other) == pytest.approx(2.0, rel=0.02)
    assert seconds_of(costs, ask("gradient", width=1000, height=1000)) < 0.1


def test_a_png_that_is_to_be_small_is_another_kind(ask):
    """Eight of them held every slot, and a card waited for all of them."""
    costs = Costs(PLENTY)
    small, usual = (ask("card", title="a", compression=c) for c in ("small", "fast"))

    assert costs.estimate(small).large
    assert not costs.estimate(usual).large
    for _ in range(40):
        learn(costs, small, 0.6)
        learn(costs, usual, 0.005)
    assert seconds_of(costs, small) == pytest.approx(0.6, rel=0.02)
    assert seconds_of(costs, usual) == pytest.approx(0.005, rel=0.02)


def test_one_slow_drawing_on_a_loaded_machine_changes_little(ask):
    costs = Costs(PLENTY)
    card = ask("card", title="a")
    for _ in range(20):
        learn(costs, card, 0.008)
    learn(costs, card, 0.5)

    assert seconds_of(costs, card) < 0.06
    for _ in range(6):
        learn(costs, card, 0.008)
    assert seconds_of(costs, card) < 0.01


def test_kinds_that_are_remembered_are_bounded(ask, monkeypatch):
    monkeypatch.setattr(cost, "_MOST", 3)
    costs = Costs(PLENTY)
    for side in (100, 400, 1600, 3200):
        learn(costs, ask("solid", width=side, height=side), 1.0)

    assert len(costs._per_megapixel) == 3


@pytest.mark.parametrize("format, large", [("png", False), ("avif", True)])
def test_pixels_count_as_the_memory_that_their_format_takes(ask, format, large):
    assert is_large(ask("solid", format, width=1500, height=1500), 0.001) is large


@pytest.mark.parametrize(
    "mebibytes, pixels", [(48, 1 << 20), (145, 1_187_840), (8000, 1 << 22)]
)
def test_two_small_pictures_take_a_quarter_of_the_memory_for_drawing(mebibytes, pixels):
    assert most_small(mebibytes << 20) == pixels


@pytest.mark.parametrize("side, large", [(2000, False), (2100, True)])
def test_many_pixels_are_large_however_quick(ask, side, large):
    assert is_large(ask("solid", width=side, height=side), 0.001) is large


@pytest.mark.parametrize("seconds, large", [(0.2, False), (0.3, True)])
def test_what_takes_long_is_large_however_small(ask, seconds, large):
    assert is_large(ask("card", title="a"), seconds) is large


@pytest.mark.parametrize("side, large", [(300, False), (4000, True)])
def test_an_upload_counts_at_its_decoded_size(ask, png, side, large):
    """A PNG of 7071x7071 has 194 KB, and 200 MB of pixels."""
    request = ask("qr", data="a", logo=png(side, side))

    assert is_large(request, 0.01) is large


def test_an_upload_that_cannot_be_measured_is_left_to_the_drawing(ask, png):
    data = base64.b64decode(png(4000, 4000).partition(",")[2])[:20]
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"

    assert not is_large(ask("qr", data="a", logo=uri), 0.01)
