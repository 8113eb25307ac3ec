"""OpenAI's dialect: every field counts or is refused, and errors have its shape."""

import pytest

from app.dialects.openai import (
    read,
    renamed,
    status_of,
    write,
    write_error,
    write_model,
)
from app.media import Media
from app.pipeline.generation import GeneratedImages, Generation
from app.renderer.base import Absent
from app.renderer.errors import BadParameter, Fault

IMAGE = Media(
    b"abc",
    "image/jpeg",
    30,
    20,
    "5" * 64,
    "f" * 64,
    {"seed": 0, "revised_prompt": "a b", "upstream": "far"},
)


def test_a_prompt_alone_is_a_request():
    asked = read({"prompt": "a"}, None)

    assert asked == (Generation({"prompt": "a"}), "b64_json")


def test_every_field_counts():
    asked = read(
        {
            "prompt": "a",
            "negative_prompt": "b",
            "seed": 3,
            "model": "dream",
            "n": 2,
            "size": "640x480",
            "response_format": "url",
            "output_format": "jpeg",
            "output_compression": 70,
            "user": "u-1",
            "quality": "auto",
            "stream": False,
            "style": None,
        },
        "key",
    )

    assert asked.form == "url"
    assert asked.generation == Generation(
        {
            "prompt": "a",
            "negative_prompt": "b",
            "seed": 3,
            "width": 640,
            "height": 480,
        },
        "dream",
        2,
        {"format": "jpeg", "quality": 70},
        "key",
    )


def test_an_automatic_size_is_the_renderers_own():
    assert read({"prompt": "a", "size": "auto"}, None).generation.parameters == {
        "prompt": "a"
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", 1),
        ("model", 1),
        ("n", "2"),
        ("n", True),
        ("size", "640"),
        ("size", "0x5"),
        ("size", 5),
        ("response_format", "png"),
        ("output_format", "gif"),
        ("output_compression", 0),
        ("output_compression", 101),
        ("output_compression", "x"),
        ("quality", "hd"),
        ("style", "vivid"),
        ("background", "transparent"),
        ("moderation", "low"),
        ("stream", True),
        ("stream", 0),
        ("partial_images", 2),
        ("seed", "1"),
        ("user", 1),
        ("image", "x"),
    ],
)
def test_what_has_no_effect_here_is_refused(name, value):
    with pytest.raises(BadParameter) as caught:
        read({"prompt": "a", name: value}, None)

    assert [fault.field for fault in caught.value.faults] == [name]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("steps", 1, "unknown_parameter"),
        ("quality", "hd", "unsupported_value"),
        ("stream", True, "unsupported_value"),
        ("response_format", "png", "unsupported_value"),
        ("output_compression", 0, "invalid_value"),
        ("n", "2", "invalid_value"),
    ],
)
def test_an_error_has_openais_word_for_what_is_wrong(name, value, code):
    with pytest.raises(BadParameter) as caught:
        read({"prompt": "a", name: value}, None)

    assert status_of(caught.value, 422, "bad-parameter") == (400, code)


def test_a_prompt_is_required():
    with pytest.raises(BadParameter, match="prompt: is required"):
        read({}, None)


def test_faults_have_the_names_of_the_dialect():
    error = BadParameter(Fault("width", "w"), Fault("renderer", "r"), Fault("n", "n"))

    assert [field for field, _ in renamed(error).faults] == ["size", "model", "n"]


def test_an_image_is_sent_with_what_is_known_of_it():
    document = write(GeneratedImages("far", (IMAGE,), (), "miss"), 12, None)

    assert document == {
        "created": 12,
        "data": [{"b64_json": b"abc", "revised_prompt": "a b", "seed": 0}],
        "output_format": "jpeg",
        "size": "30x20",
    }


def test_an_image_may_be_a_link_and_others_be_missing():
    album = GeneratedImages("far", (IMAGE,), (Absent("nsfw", filtered=True),), "miss")

    document = write(album, 12, [{"url": "u", "expires_at": 9}])

    assert document["data"][0]["url"] == "u"
    assert "b64_json" not in document["data"][0]
    assert document["missing"] == [{"reason": "nsfw", "filtered": True}]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (502, "server_error"),
    ],
)
def test_an_error_has_its_four_members(status, kind):
    assert write_error("m", status, "c", None) == {
        "error": {"message": "m", "type": kind, "param": None, "code": "c"}
    }


def test_a_model_is_a_renderer():
    assert write_model("dream") == {
        "id": "dream",
        "object": "model",
        "created": 0,
        "owned_by": "mimeo",
    }
