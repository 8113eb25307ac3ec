"""`dream` paints a prompt: always the same, and never the same as another."""

from itertools import combinations

import pytest
from PIL import Image, ImageChops, ImageStat
from pydantic import ValidationError

from app.renderer.dream import scenes
from app.renderer.dream.dream import RENDERER, Prompted, choose
from app.renderer.dream.palette import PALETTES

SUBJECTS = {
    "mountains": scenes.mountains,
    "the ocean": scenes.sea,
    "a city": scenes.city,
    "Forests": scenes.forest,
    "dunes": scenes.desert,
    "PLANETS": scenes.space,
    "a rose": scenes.flowers,
    "silk": scenes.flow,
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
    "mountains": "cea26adba969c78d48d7bc8ee6c690d9b3776b4a3076523675563a",
    "the ocean": "633a5d784f6a6e4762b56068d18a80c57f776b3c4c7442536d3e4d",
    "a city": "4739725e4e87453670725a968870a67158932a213f36294c2d2242",
    "Forests": "81829f9c9baf8f8ea3a79695b1a59eaea1983942593f49613b445b",
    "dunes": "8988a1a2a1b28a8aa2caada5d4bcb0c9aaa4ae9792bfa59eb59e96",
    "PLANETS": "0b122611182a0103092e3c60405486151927111c3b0e1835070c1f",
    "a rose": "c2a8afc9adb5c4a7aab196a49f8696ab92a16f6a70706c73605f61",
    "silk": "46324c492d50553d535a4259775763785a6169475075495270484f",
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
    assert choose(f"something {prompt}")[1] is PALETTES[name]


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
        {"prompt": "a" * 2001},
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
