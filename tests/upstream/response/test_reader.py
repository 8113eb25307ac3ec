"""Any form in, the same images out; what is none is said, and nothing is guessed."""

import json

import pytest

from app.upstream.errors import BadMedia
from app.upstream.response.reader import Found, Linked, read_fetched
from tests.upstream.pictures import (
    ART,
    JPEG,
    PNG,
    SAMPLES,
    SIZE,
    WEBP,
    answered,
    b64,
    content,
    dump,
    held,
)
from tests.upstream.wire_forms import FORMS, MENDED, URL, Form


def form_of(image: Found | Linked) -> str:
    return image.form if isinstance(image, Found) else "url"


def check(form: Form, pointer: str | None = None) -> None:
    with answered(
        form.body,
        form.content_type,
        headers=form.headers,
        pointer=pointer,
        asked=len(form.images),
    ) as answer:
        assert tuple(content(image) for image in answer.images) == form.images
        assert {form_of(image) for image in answer.images} == set(form.form.split())
        assert [i.seed for i in answer.images] == list(
            form.seeds or (None,) * len(form.images)
        )
        assert {i.revised_prompt for i in answer.images} == {form.prompt}
        assert {i.repairs for i in answer.images} == {form.repairs}
        assert answer.missing == ()


@pytest.mark.parametrize("name", FORMS)
def test_every_wire_form_gives_the_bytes_that_were_sent(name):
    check(FORMS[name])


@pytest.mark.parametrize("name", MENDED)
def test_what_was_wrong_is_mended_and_named(name):
    check(MENDED[name])


@pytest.mark.parametrize("media_type", SAMPLES)
def test_every_type_of_image_is_told_by_its_bytes(media_type):
    body = dump({"data": [{"b64_json": b64(SAMPLES[media_type])}]})

    with answered(body) as answer:
        (image,) = answer.images

    assert (image.media_type, image.width, image.height) == (media_type, *SIZE)


@pytest.mark.parametrize(
    "name", [name for name, form in FORMS.items() if form.content_type.endswith("json")]
)
def test_escaped_slashes_and_unicode_escapes_are_no_repair(name):
    form = FORMS[name]
    escaped = form.body.replace(b"/", b"\\/").replace(b"=", b"\\u003d")

    check(form._replace(body=escaped))


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"a": {"b": [{"c": b64(PNG)}]}}, "/a/b/0/c"),
        ({"a": {"b": [{"c": b64(PNG)}]}}, "/a/b/*/c"),
        ({"a/b": {"c~d": b64(PNG)}}, "/a~1b/c~0d"),
        ({"job": {"images": [b64(PNG)]}}, "/job"),
        ([[b64(PNG)]], "/0/0"),
        (b64(PNG), ""),
    ],
)
def test_a_pointer_finds_what_no_key_does(document, pointer):
    with answered(dump(document), pointer=pointer) as answer:
        assert [content(image) for image in answer.images] == [PNG]


def test_with_a_pointer_nothing_else_is_looked_at():
    body = dump({"image": b64(PNG), "other": [b64(JPEG)]})

    with answered(body, pointer="/other/*") as answer:
        assert [content(image) for image in answer.images] == [JPEG]


def test_more_images_than_asked_are_all_kept():
    with answered(dump({"images": [b64(PNG), b64(JPEG)]}), asked=1) as answer:
        assert [content(image) for image in answer.images] == [PNG, JPEG]
        assert answer.missing == ()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (dump({"image": {"url": URL}}), "application/json"),
        (dump({"images": [{"image_url": {"url": URL}}]}), "application/json"),
        (dump({"result": {"output": [URL]}}), "application/json"),
        (URL.encode() + b"\n", "text/plain"),
    ],
)
def test_an_address_is_found_in_other_shapes(body, content_type):
    with answered(body, content_type) as answer:
        assert [content(image) for image in answer.images] == [URL]


@pytest.mark.parametrize(
    "url",
    [
        *("HTTPS://cdn.example/a.png", "/files/a", "/a.png", "a.png?sig=1", "./a.png"),
        *("//cdn.example/a.png", "a/b.png"),
    ],
)
def test_an_address_may_be_in_capitals_or_relative(url):
    with answered(dump({"data": [{"url": url}]})) as answer:
        assert [content(image) for image in answer.images] == [url]


def test_base64_in_the_place_of_an_address_is_no_relative_address():
    with answered(dump({"data": [{"url": b64(JPEG)}]})) as answer:
        assert [content(image) for image in answer.images] == [JPEG]


@pytest.mark.parametrize("url", ["ftp://a.example/a.png", "gs://b/a.png", "a b.png"])
def test_an_address_of_another_kind_is_named(url):
    reason = "of a kind that cannot be fetched"

    with (
        pytest.raises(BadMedia, match=reason),
        answered(dump({"data": [{"url": url}]})),
    ):
        pass


def test_a_stream_without_a_last_line_break_is_read_to_its_end():
    event = {"type": "image_generation.completed", "b64_json": b64(PNG)}

    with answered(b"data:" + dump(event), "text/event-stream") as answer:
        assert [content(image) for image in answer.images] == [PNG]


def test_a_long_revised_prompt_survives_whole():
    prompt = "a cat, \u201csitting\u201d\n" * 200

    with answered(
        dump({"data": [{"b64_json": b64(PNG), "revised_prompt": prompt}]})
    ) as answer:
        assert answer.images[0].revised_prompt == prompt


def test_a_fetched_image_keeps_what_its_link_knew():
    linked = Linked(URL, 7, "success", "a cat", ("bom",))

    with held(WEBP) as body, held(b"") as decoded:
        image = read_fetched(
            body.file,
            decoded.file,
            linked,
            ART,
            content_type="image/png",
        )
        assert content(image) == WEBP

    assert (image.form, image.seed) == ("url", 7)
    assert (image.finish, image.revised_prompt) == ("success", "a cat")
    assert image.repairs == ("bom", "content-type")


def test_a_json_string_is_not_mistaken_for_a_mark_of_the_scanner():
    document = {"note": "\0" + "0", "image": b64(PNG), "size": json.dumps("\0")}

    with answered(dump(document)) as answer:
        assert content(answer.images[0]) == PNG
