"""OpenAI's dialect: every field counts or is named, and errors have its shape."""

import pytest

from app.dialects.openai import (
    attempt_of,
    read,
    renamed,
    status_of,
    warnings_of,
    write,
    write_error,
    write_events,
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

    assert asked == (Generation({"prompt": "a"}, attempt="first"), None, False, ())


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
            "quality": "hd",
            "background": "opaque",
            "moderation": "low",
            "guidance_scale": 7,
            "num_inference_steps": 20,
            "stream": False,
            "style": None,
        },
        "key",
        "retry",
    )

    assert (asked.form, asked.stream, asked.warnings) == ("url", False, ())
    assert asked.generation == Generation(
        {"prompt": "a", "width": 640, "height": 480},
        "dream",
        2,
        {"format": "jpeg", "quality": 70},
        "key",
        "retry",
        {
            "negative_prompt": "b",
            "seed": 3,
            "moderation": "low",
            "user": "u-1",
            "model_quality": "hd",
            "model_background": "opaque",
            "cfg_scale": 7,
            "steps": 20,
        },
    )


@pytest.mark.parametrize(
    "usual",
    [
        {"quality": "auto", "style": "auto", "background": "auto"},
        {"quality": "standard", "moderation": "auto", "partial_images": 0},
        {"seed": -1, "output_compression": 100, "stream": False, "n": 1},
        {"user": None, "response_format": None, "metadata": None},
    ],
)
def test_what_is_done_anyway_needs_no_word(usual):
    asked = read({"prompt": "a", **usual}, None)

    assert asked.generation == Generation({"prompt": "a"}, attempt="first")
    assert asked.warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("metadata", {"a": 1}, "metadata: is not known here"),
        ("safety_identifier", "u-1", "safety_identifier: is not known here"),
        ("aspect_ratio", "16:9", "aspect_ratio: is not known here"),
        ("x" * 5000, 1, "x" * 60 + "…: is not known here"),
        ("partial_images", 2, "partial_images: images are sent when"),
        ("output_compression", 50, "output_compression: counts for jpeg and webp"),
    ],
)
def test_what_has_no_effect_is_said(name, value, said):
    (warning,) = read({"prompt": "a", name: value}, None).warnings

    assert warning.startswith(said)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sizee", "size"),
        ("respons_format", "response_format"),
        ("Quality", "quality"),
        ("negative-prompt", "negative_prompt"),
        ("bakground", "background"),
    ],
)
def test_what_is_misspelt_is_refused_with_what_was_meant(name, meant):
    with pytest.raises(BadParameter, match=rf"did you mean {meant}\?") as caught:
        read({"prompt": "a", name: "x"}, None)

    assert status_of(caught.value, 422, "") == (400, "unknown_parameter")


@pytest.mark.parametrize("name", ["image", "images", "mask", "init_images"])
def test_a_picture_is_not_left_out_of_what_is_made(name):
    with pytest.raises(BadParameter, match=f"{name}: belongs to /v1/images/edits"):
        read({"prompt": "a", name: "data:image/png;base64,"}, None)


@pytest.mark.parametrize(
    ("given", "sides"),
    [
        ({"size": "64X32"}, {"width": 64, "height": 32}),
        ({"size": "64\u00d732"}, {"width": 64, "height": 32}),
        ({"size": "64*32"}, {"width": 64, "height": 32}),
        ({"width": 64, "height": 32}, {"width": 64, "height": 32}),
        ({"size": "64x32", "width": 64}, {"width": 64, "height": 32}),
        ({"size": "auto", "height": 32}, {"height": 32}),
    ],
)
def test_a_size_may_be_said_in_other_ways(given, sides):
    asked = read({"prompt": "a", **given}, None)

    assert asked.generation.parameters == {"prompt": "a", **sides}


def test_two_sizes_are_none():
    with pytest.raises(BadParameter, match="width: is another than in size 64x32"):
        read({"prompt": "a", "size": "64x32", "width": 65}, None)


@pytest.mark.parametrize(
    ("retries", "agent", "attempt"),
    [
        (None, None, "first"),
        ("0", "OpenAI/Python 3.57.0", "first"),
        ("1", "OpenAI/Python 3.57.0", "retry"),
        (" 2 ", "OpenAI/JS 6.1.0", "retry"),
        ("-1", None, "first"),
        ("1e9", None, "first"),
        ("9" * 50, None, "first"),
        (None, "ai/6.0.5 ai-sdk/provider-utils/4.0.1 runtime/node.js/20", "part"),
        (None, "my-ai-sdk/1", "first"),
        ("1", "ai/6.0.5 ai-sdk/openai/3.0.0", "retry"),
    ],
)
def test_a_client_says_which_attempt_it_is(retries, agent, attempt):
    assert attempt_of(retries, agent) == attempt


def test_an_automatic_size_is_the_renderers_own():
    assert read({"prompt": "a", "size": "auto"}, None).generation.parameters == {
        "prompt": "a"
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", True),
        ("model", 1.5),
        ("n", "two"),
        ("n", True),
        ("size", "640"),
        ("size", "0x5"),
        ("size", 5),
        ("response_format", "png"),
        ("output_format", "gif"),
        ("output_compression", -1),
        ("output_compression", 101),
        ("output_compression", "x"),
        ("quality", 5.5),
        ("style", ["vivid"]),
        ("background", "x" * 201),
        ("moderation", True),
        ("stream", "perhaps"),
        ("stream", 0),
        ("partial_images", 4),
        ("partial_images", -1),
        ("width", 0),
        ("seed", "one"),
        ("seed", -2),
        ("steps", "many"),
        ("user", True),
    ],
)
def test_what_has_no_meaning_is_refused(name, value):
    with pytest.raises(BadParameter) as caught:
        read({"prompt": "a", name: value}, None)

    assert [fault.field for fault in caught.value.faults] == [name]


def test_numbers_and_truths_may_be_texts():
    texts = {
        "n": "2",
        "seed": "-1",
        "stream": "true",
        "cfg_scale": "7.5",
        "width": "64",
    }
    typed = {"n": 2.0, "seed": -1, "stream": True, "cfg_scale": 7.5, "width": 64}

    assert read({"prompt": "a", **texts}, None) == read({"prompt": "a", **typed}, None)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("stpes", 1, "unknown_parameter"),
        ("response_format", "png", "unsupported_value"),
        ("output_compression", -1, "invalid_value"),
        ("quality", 5.5, "invalid_value"),
        ("n", "two", "invalid_value"),
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
    error = BadParameter(
        *(Fault("width", "w"), Fault("renderer", "r"), Fault("n", "n")),
        *(Fault("quality", "q"), Fault("model_quality", "m")),
    )

    assert [field for field, _ in renamed(error).faults] == [
        *("size", "model", "n", "output_compression", "quality")
    ]


def test_an_image_is_sent_with_what_is_known_of_it():
    document = write(GeneratedImages("far", (IMAGE,), (), "miss"), 12, None)

    assert document == {
        "created": 12,
        "data": [{"b64_json": b"abc", "revised_prompt": "a b", "seed": 0}],
        "output_format": "jpeg",
        "size": "30x20",
    }


@pytest.mark.parametrize(
    ("form", "members"),
    [
        (None, {"url": "u", "expires_at": 9, "b64_json": b"abc"}),
        ("url", {"url": "u", "expires_at": 9}),
        ("b64_json", {"b64_json": b"abc"}),
    ],
)
def test_an_image_is_a_link_and_itself_unless_one_is_asked_for(form, members):
    album = GeneratedImages("far", (IMAGE,), (Absent("nsfw", filtered=True),), "miss")

    document = write(album, 12, [{"url": "u", "expires_at": 9}], form)

    assert document["data"] == [{**members, "revised_prompt": "a b", "seed": 0}]
    assert document["missing"] == [{"reason": "nsfw", "filtered": True}]


def test_where_there_is_no_link_the_image_is_sent_itself():
    album = GeneratedImages("far", (IMAGE,), (), "miss")

    document = write(album, 12, None, "url")

    assert document["data"][0]["b64_json"] == b"abc"
    assert "url" not in document["data"][0]


def test_many_warnings_are_counted():
    asked = read({"prompt": "a", **{f"{n}zz{n}": 1 for n in range(50)}}, None)
    album = GeneratedImages("far", (IMAGE,), (), "miss", (Fault("model_quality", "w"),))

    warnings = warnings_of(asked, album.unfulfilled)

    assert len(warnings) == 21
    assert warnings[-1] == "and 31 more"
    assert warnings_of(read({"prompt": "a"}, None), album.unfulfilled) == ["quality: w"]


def test_a_stream_has_an_event_for_each_image():
    album = GeneratedImages("far", (IMAGE, IMAGE), (), "miss")

    events = list(write_events(album, 12, "image_generation"))

    assert len(events) == 2
    assert events[0] == (
        "image_generation.completed",
        {
            "type": "image_generation.completed",
            "b64_json": b"abc",
            "created_at": 12,
            "output_format": "jpeg",
            "size": "30x20",
            "revised_prompt": "a b",
            "seed": 0,
        },
    )


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
