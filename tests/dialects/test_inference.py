"""The simple producer contract is read and written, and our own reader reads it."""

import io
from typing import Any

import pytest
from PIL import Image

from app.delivery.image import embed
from app.dialects.inference import read, write
from app.media import Media
from app.pipeline.generation import GeneratedImages, Generation
from app.renderer.base import Absent
from app.renderer.errors import BadParameter, Fault
from tests.upstream.pictures import JPEG, PNG, answered


def media(data: bytes, media_type: str, **facts: Any) -> Media:
    with Image.open(io.BytesIO(data)) as image:
        size = image.size
    return Media(data, media_type, *size, "5" * 64, "f" * 64, facts)


ONE = media(PNG, "image/png", seed=7, finish_reason="success")
TWO = media(JPEG, "image/jpeg", seed=8, finish_reason="steps_exhausted")


def test_a_prompt_alone_is_a_request():
    assert read({"prompt": "a"}, None) == Generation({"prompt": "a"})


def test_what_is_mimeos_own_is_parted_from_what_is_the_renderers():
    given = {"prompt": "a", "renderer": "dream", "n": 2, "seed": 1, "steps": 3}

    asked = read({**given, "format": "webp", "quality": 50}, "k")

    assert asked == Generation(
        {"prompt": "a", "seed": 1, "steps": 3},
        "dream",
        2,
        {"format": "webp", "quality": 50},
        "k",
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"n": "two"}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"renderer": 1}, "re"),
    ],
)
def test_wrong_types_are_named(given, field):
    with pytest.raises(BadParameter, match=field):
        read({"prompt": "a", **given}, None)


def test_hugging_faces_words_are_ours():
    given = {
        "inputs": "a cat",
        "parameters": {"width": 64, "num_inference_steps": 4, "guidance_scale": None},
        "options": {"wait_for_model": True},
    }

    asked = read(given, None)

    assert asked == Generation({"prompt": "a cat", "width": 64}, wishes={"steps": 4})


def test_hugging_faces_older_clients_say_the_size_in_one():
    given = {"inputs": "a", "parameters": {"target_size": {"width": 64, "height": 32}}}

    assert read(given, None) == Generation({"prompt": "a", "width": 64, "height": 32})


def test_null_is_what_was_left_out():
    assert read({"prompt": "a", "n": None, "renderer": None}, None) == Generation(
        {"prompt": "a"}
    )


def test_what_had_no_effect_is_said_beside_what_the_service_said():
    one = media(PNG, "image/png", warnings=["cut"])
    told = (Fault("steps", "is not something that dream can be told"),)

    document = write(GeneratedImages("dream", (one,), (), "miss", told))

    assert document["metadata"]["warnings"] == [
        "cut",
        "steps: is not something that dream can be told",
    ]


def test_one_image_stands_at_the_top():
    document = write(GeneratedImages("far", (ONE,), (), "miss"))

    assert document["image_base64"] == PNG
    assert document["metadata"]["seed"] == 7
    assert document["metadata"]["renderer"] == "far"
    assert document.keys() == {"image_base64", "metadata"}


def test_several_are_in_a_list_and_what_is_missing_is_said():
    absent = (Absent("nsfw", filtered=True),)

    document = write(GeneratedImages("far", (ONE, TWO), absent, "miss"))

    assert [item["image_base64"] for item in document["images"]] == [PNG, JPEG]
    assert document["missing"] == [{"reason": "nsfw", "filtered": True}]


@pytest.mark.parametrize("images", [(ONE,), (ONE, TWO)])
def test_our_own_reader_reads_it_back(images):
    body = bytes(embed(write(GeneratedImages("far", images, (), "miss"))))

    with answered(body, "application/json", asked=len(images)) as answer:
        found = [image.region.read(0, 1 << 20) for image in answer.images]
        seeds = [image.seed for image in answer.images]
        finishes = [image.finish for image in answer.images]

    assert found == [image.data for image in images]
    assert seeds == [7, 8][: len(images)]
    assert finishes == ["success", "steps_exhausted"][: len(images)]
    assert not answer.missing


def test_what_one_image_does_not_tell_is_not_the_first_ones():
    silent = media(JPEG, "image/jpeg")
    body = bytes(embed(write(GeneratedImages("far", (ONE, silent), (), "miss"))))

    with answered(body, "application/json", asked=2) as answer:
        told = [(image.seed, image.finish) for image in answer.images]

    assert told == [(7, "success"), (None, None)]


def test_image_of_hugging_face_is_not_taken_for_a_prompt() -> None:
    """InferenceClient.image_to_image sends it so."""
    sent = {"inputs": "AAAA", "parameters": {"prompt": "a cat"}}

    with pytest.raises(BadParameter, match=r"parameters\.prompt: is for an image"):
        read(sent, None)
