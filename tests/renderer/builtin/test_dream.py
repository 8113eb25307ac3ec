"""`dream` paints a prompt: always the same, and never the same as another."""

import sys
import tracemalloc
from itertools import combinations
from types import FrameType

import pytest
from PIL import Image, ImageChops, ImageStat
from pydantic import ValidationError

from app.renderer.builtin import dream
from app.renderer.builtin.dream import PALETTES, Prompted, build, choose
from app.renderer.engine.engine import Engine, Page
from app.renderer.engine.fonts import load_fonts

RENDERER = build(Engine(load_fonts(None, system=False)))

SUBJECTS = {
    "mountains": dream.mountains,
    "the ocean": dream.sea,
    "a city": dream.city,
    "Forests": dream.forest,
    "dunes": dream.desert,
    "PLANETS": dream.space,
    "a rose": dream.flowers,
    "silk": dream.flow,
}
WORDS = [
    ("sunset", "sunset"),
    ("a morning", "dawn"),
    ("midnight", "night"),
    ("blue", "blue"),
    ("emerald", "green"),
    ("golden", "gold"),
    ("winter", "snow"),
    ("fire", "red"),
    ("pink", "rose"),
    ("purple", "violet"),
]

# Nine mean colours of each picture, and how far one may be off.
GOLDEN = {
    "mountains": "d8b17bedcc9bd6ac74dcbe8ed3bb95c3a9836f4d32775235765539",
    "the ocean": "734a67936b789b787ab46e6ac58876d0a282533845593b4a6d5153",
    "a city": "5b4a7f7e6c9f8370a03d2e5841325c45365f211938221a3a211937",
    "Forests": "aba7afc0bcbf9e9babcdb8add3c2b3c7b0a74a50634e566b4e5465",
    "dunes": "b1adb1b8b4bd9492a9efd7c0eaccbae3c8b4c6a99ddab9accaaba0",
    "PLANETS": "242c453b45613a4056202b4d202c51272d46161f3a18203a10162c",
    "a rose": "b493b0c6a4c4bb9db7d2a5b9dbb2c2dbbac498878aa995999b8b8f",
    "silk": "a37675a67b7d886771b17c7bc0807dc29183af7872c68d7fbe8978",
}
TOLERANCE = 4


def paint(prompt: str, seed: int = 0, size: tuple[int, int] = (160, 120)):
    width, height = size
    given = Prompted(prompt=prompt, seed=seed, width=width, height=height)
    return RENDERER.draw(given, 1).image


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize("prompt", SUBJECTS)
def test_equal_prompts_are_equal_pixels(prompt):
    assert paint(prompt).tobytes() == paint(prompt).tobytes()


@pytest.mark.parametrize("prompt", SUBJECTS)
def test_a_picture_is_what_it_was(prompt):
    small = paint(prompt, size=(512, 512)).resize((3, 3), Image.Resampling.BOX)

    wanted = bytes.fromhex(GOLDEN[prompt])
    pairs = zip(small.tobytes(), wanted, strict=True)
    assert max(abs(one - other) for one, other in pairs) <= TOLERANCE


@pytest.mark.parametrize("prompt", SUBJECTS)
def test_another_seed_is_another_picture(prompt):
    pictures = [paint(prompt, seed) for seed in range(4)]

    assert all(difference(*pair) > 2 for pair in combinations(pictures, 2))


def test_another_prompt_is_another_picture():
    pictures = [paint(f"the sea, number {n}") for n in range(4)]

    assert all(difference(*pair) > 2 for pair in combinations(pictures, 2))


@pytest.mark.parametrize("prompt", SUBJECTS)
def test_a_word_chooses_the_subject(prompt):
    assert choose(prompt)[0] is SUBJECTS[prompt]


@pytest.mark.parametrize(("prompt", "name"), WORDS)
def test_a_word_chooses_the_colours(prompt, name):
    assert choose(f"something {prompt}")[1] == name
    assert name in PALETTES


@pytest.mark.parametrize(
    ("prompt", "channel"), [("blue mountains", 2), ("fire mountains", 0)]
)
def test_the_colour_that_is_asked_for_dominates(prompt, channel):
    means = ImageStat.Stat(paint(prompt)).mean

    assert max(range(3), key=means.__getitem__) == channel


@pytest.mark.parametrize("prompt", SUBJECTS)
@pytest.mark.parametrize("size", [(64, 64), (2048, 64), (64, 2048), (300, 200)])
def test_every_subject_fills_every_size(prompt, size):
    picture = paint(prompt, size=size)

    assert picture.size == size
    assert picture.mode == "RGB"
    assert len(picture.resize((16, 16)).getcolors(256)) > 8


def test_the_seed_is_told():
    given = Prompted(prompt="a", seed=7, width=64, height=64)

    assert RENDERER.draw(given, 1).facts == {"seed": 7}


def test_a_scale_makes_more_pixels():
    given = Prompted(prompt="a", width=64, height=65)

    assert RENDERER.draw(given, 2).image.size == (128, 130)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"prompt": ""},
        {"prompt": "  "},
        {"prompt": "a" * 32_001},
        {"prompt": "a", "seed": -1},
        {"prompt": "a", "seed": 1 << 32},
        {"prompt": "a", "width": 63},
        {"prompt": "a", "height": 2049},
        {"prompt": "a", "negative_prompt": "b"},
    ],
)
def test_what_is_out_of_bounds_is_refused(values):
    with pytest.raises(ValidationError):
        Prompted.model_validate(values)


def test_an_svg_is_the_same_picture(engine: Engine):
    given = Prompted(prompt="PLANETS", seed=7, width=160, height=120)

    drawing = RENDERER.vector(given, 1)

    drawn = engine.draw(Page(drawing.svg), (160, 120), 1).image.convert("RGB")
    assert drawing.facts == {"seed": 7}
    assert drawn.tobytes() == paint("PLANETS", 7).tobytes()


def test_small_pictures_are_few_steps() -> None:
    """A picture is drawn by arrays: no step a stroke, a star or a leaf."""
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += event == "call" and frame.f_code.co_filename == dream.__file__

    sys.setprofile(count)
    try:
        for prompt in SUBJECTS:
            paint(prompt, size=(64, 64))
    finally:
        sys.setprofile(None)

    assert steps / len(SUBJECTS) < 300


def test_memory_stays_near_that_of_the_picture() -> None:
    tracemalloc.start()
    paint("flowers", size=(2048, 2048))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    # The engine's pixels, 4 bytes each, are counted here; Pillow's own are not.
    assert peak < 17 << 20
