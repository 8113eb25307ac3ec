"""The `dream` renderer: procedural art of a prompt, and no neural network.

It stands where a service that makes images would, with no account and no network.
Some words choose colours and a subject, all of the prompt decides the rest by chance.
"""

import hashlib
import random
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar

from PIL import Image
from pydantic import Field

from app.renderer.base import Picture, Renderer
from app.renderer.dream import scenes
from app.renderer.dream.brush import Canvas
from app.renderer.dream.palette import PALETTES, Palette
from app.renderer.dream.scenes import Scene
from app.renderer.params import Parameters, Words
from app.renderer.produce import scaled

T = TypeVar("T")
_WORD = re.compile(r"[^\W\d_]+")
_SCENES: Mapping[Scene, str] = MappingProxyType(
    {
        scenes.mountains: "mountain peak alp hill volcano ridge summit glacier",
        scenes.sea: "sea ocean wave water lake beach coast ship boat island lighthouse",
        scenes.city: "city skyline town street tower building skyscraper metropolis",
        scenes.forest: "forest tree wood jungle fir pine fox deer owl bear",
        scenes.desert: "desert dune sand camel oasis sahara canyon",
        scenes.space: "space star planet galaxy moon rocket astronaut nebula cosmos",
        scenes.flowers: "flower garden rose tulip bloom blossom meadow bouquet daisy",
        scenes.flow: "abstract flow music dream wind silk smoke pattern",
    }
)
_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "sunset": "sunset evening dusk orange autumn",
        "dawn": "dawn morning sunrise spring pastel",
        "night": "night midnight dark moonlight starry black",
        "blue": "blue azure summer",
        "green": "green emerald lush",
        "gold": "gold golden yellow honey",
        "snow": "snow snowy winter white ice silver grey gray fog foggy misty",
        "red": "red fire lava crimson mars",
        "rose": "pink rose love cherry",
        "violet": "violet purple magic lavender",
    }
)
# What a subject looks best in, where no word says.
_FITTING: Mapping[Scene, tuple[str, ...]] = MappingProxyType(
    {
        scenes.sea: ("blue", "sunset", "dawn", "night"),
        scenes.city: ("night", "sunset", "violet"),
        scenes.forest: ("green", "dawn", "sunset", "snow"),
        scenes.desert: ("gold", "sunset", "dawn", "red"),
        scenes.space: ("violet", "night", "blue", "red"),
        scenes.flowers: ("rose", "dawn", "violet", "gold"),
    }
)


class Prompted(Parameters):
    """A prompt, the seed of chance, and a size."""

    prompt: Annotated[Words, Field(min_length=1, max_length=2000)] = Field(
        description="What to show, in words."
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(
        0, description="Another one is another picture of the same prompt."
    )
    width: Annotated[int, Field(ge=64, le=2048)] = Field(
        1024, description="CSS pixels."
    )
    height: Annotated[int, Field(ge=64, le=2048)] = Field(
        1024, description="CSS pixels."
    )


def draw(parameters: Prompted, scale: float) -> Picture:
    """Paint the prompt; equal prompt, seed and size are equal pixels."""
    text = f"{parameters.seed}\n{parameters.prompt}"
    chance = random.Random(hashlib.sha256(text.encode()).digest())
    size = scaled((parameters.width, parameters.height), scale)
    canvas = Canvas(Image.new("RGB", size), chance)
    scene, palette = choose(parameters.prompt)
    scene(canvas, palette)
    canvas.darken(0.28)
    return Picture(canvas.image, facts={"seed": parameters.seed})


def choose(prompt: str) -> tuple[Scene, Palette]:
    """Return what a prompt's words ask for; what they leave open its digest decides."""
    words = [_singular(word.lower()) for word in _WORD.findall(prompt)]
    dice = hashlib.sha256(prompt.encode()).digest()
    scene = _first(words, _SCENES) or list(_SCENES)[dice[0] % len(_SCENES)]
    fitting = _FITTING.get(scene, tuple(PALETTES))
    name = _first(words, _COLOURS) or fitting[dice[1] % len(fitting)]
    return scene, PALETTES[name]


def _first(words: list[str], table: Mapping[T, str]) -> T | None:
    """Return the entry that the first word with one has."""
    for word in words:
        for entry, known in table.items():
            if word in known.split():
                return entry
    return None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


RENDERER = Renderer(
    name="dream",
    title="Procedural art of a prompt (no neural network)",
    parameters=Prompted,
    size=lambda parameters: (parameters.width, parameters.height),
    draw=draw,
    example={"prompt": "mountains at dawn", "width": "640", "height": "400"},
)
