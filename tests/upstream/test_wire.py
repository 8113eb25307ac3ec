"""Each kind is asked in its own words, with the key where the operator says."""

import email.parser
import email.policy
import json
from base64 import b64decode
from typing import Any

import pytest

from app.upstream.request.adapters import Ask, WireRequest, build
from app.upstream.service import Credential, Service

CANARY = "sk-canary-77"


def upstream(kind: str, **more: Any) -> Service:
    return Service(name="far", kind=kind, url="http://far.example", **more)  # type: ignore[arg-type]


def form_of(request: WireRequest) -> dict[str, str]:
    """Read multipart with the library's parser of mail."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    parts = parser.parsebytes(head + request.body).iter_parts()
    # RFC 7578, section 5.1.2: UTF-8, which a reader of mail cannot know.
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(
            decode=True
        ).decode()
        for part in parts
    }


OPENAI = upstream("openai", model="gpt-image-1")
DALL_E_2 = upstream("openai", model="dall-e-2")
LOCAL_OPENAI = upstream("openai", model="flux")
V1 = upstream("stability", api="v1", model="stable-diffusion-v1-6")
CORE = upstream("stability", api="v2beta", model="core")
SD3 = upstream("stability", api="v2beta", model="sd3.5-large")
WEBUI = upstream("sdwebui", model="anything.safetensors")
AUTO = upstream("auto", model="dream")
BINARY = upstream("binary")
JSON = upstream("json", pointer="/image", model="m")

SAID = {
    "gpt-image": (
        OPENAI,
        Ask("a cat", n=2, width=1024, height=1536, format="webp"),
        "/images/generations",
        {
            "model": "gpt-image-1",
            "prompt": "a cat",
            "n": 2,
            "size": "1024x1536",
            "output_format": "webp",
        },
    ),
    "gpt-image, a format it has not": (
        OPENAI,
        Ask("a cat", format="avif"),
        "/images/generations",
        {"model": "gpt-image-1", "prompt": "a cat", "n": 1},
    ),
    "dall-e-2": (
        DALL_E_2,
        Ask("a cat", width=256, height=256, format="png"),
        "/images/generations",
        {
            "model": "dall-e-2",
            "prompt": "a cat",
            "n": 1,
            "size": "256x256",
            "response_format": "b64_json",
        },
    ),
    "another server of that dialect": (
        LOCAL_OPENAI,
        Ask("a cat", width=640, height=384),
        "/images/generations",
        {
            "model": "flux",
            "prompt": "a cat",
            "n": 1,
            "size": "640x384",
            "response_format": "b64_json",
        },
    ),
    "stability v1": (
        V1,
        Ask("a cat", "a dog", seed=7, width=512, height=640, n=3),
        "/v1/generation/stable-diffusion-v1-6/text-to-image",
        {
            "text_prompts": [
                {"text": "a cat", "weight": 1},
                {"text": "a dog", "weight": -1},
            ],
            "samples": 3,
            "seed": 7,
            "width": 512,
            "height": 640,
        },
    ),
    "webui": (
        WEBUI,
        Ask("a cat", "a dog", seed=0, width=512, height=640, n=2),
        "/sdapi/v1/txt2img",
        {
            "prompt": "a cat",
            "negative_prompt": "a dog",
            "seed": 0,
            "width": 512,
            "height": 640,
            "batch_size": 1,
            "n_iter": 2,
            "send_images": True,
            "save_images": False,
            "override_settings": {"sd_model_checkpoint": "anything.safetensors"},
        },
    ),
    "auto": (
        AUTO,
        Ask("a cat", seed=7, width=512, height=640, n=2),
        "/inference",
        {
            "prompt": "a cat",
            "seed": 7,
            "width": 512,
            "height": 640,
            "n": 2,
            "renderer": "dream",
        },
    ),
    "binary": (BINARY, Ask("a cat", seed=7), "", {"prompt": "a cat", "seed": 7}),
    "json": (JSON, Ask("a cat", n=4), "", {"prompt": "a cat", "n": 4, "model": "m"}),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_said_to_each_kind(name):
    upstream, ask, path, document = SAID[name]

    request = build(upstream, ask)

    assert (request.method, request.path) == ("POST", path)
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == document
    assert not request.warnings


def test_v2beta_is_a_form_without_a_file_and_asks_for_binary():
    ask = Ask("a cat, \r\n“sitting”", "a dog", seed=4294967294, format="webp")

    request = build(CORE, ask)

    assert request.path == "/v2beta/stable-image/generate/core"
    assert request.headers["Accept"] == "image/*"
    assert form_of(request) == {
        "prompt": "a cat, \r\n“sitting”",
        "negative_prompt": "a dog",
        "seed": "4294967294",
        "output_format": "webp",
    }


def test_v2beta_takes_a_ratio_and_tells_that_the_size_became_one():
    request = build(SD3, Ask("a cat", width=1600, height=900))

    assert request.path == "/v2beta/stable-image/generate/sd3"
    form = form_of(request)
    assert (form["aspect_ratio"], form["model"]) == ("16:9", "sd3.5-large")
    assert request.warnings == ("width and height became the aspect ratio 16:9",)


@pytest.mark.parametrize(
    ("upstream", "ask", "accept"),
    [
        (AUTO, Ask("a"), "image/*, application/json;q=0.5"),
        (
            AUTO,
            Ask("a", format="webp"),
            "image/webp, image/*;q=0.9, application/json;q=0.5",
        ),
        (AUTO, Ask("a", n=2), "application/json"),
        (BINARY, Ask("a"), "image/*"),
        (JSON, Ask("a"), "application/json"),
        (OPENAI, Ask("a"), "application/json"),
    ],
)
def test_what_each_kind_accepts(upstream, ask, accept):
    assert build(upstream, ask).headers["Accept"] == accept


@pytest.mark.parametrize(
    "url",
    ["http://far.example/paint", "http://far.example/?x=1", "http://far.example?"],
)
def test_an_address_with_a_path_or_a_query_is_the_whole_address(url):
    there = Service(name="far", kind="auto", url=url)

    assert build(there, Ask("a")).path == ""


def test_a_model_stays_one_segment_of_the_path():
    odd = upstream("stability", api="v2beta", model="a/b?c")

    assert build(odd, Ask("a")).path == "/v2beta/stable-image/generate/a%2Fb%3Fc"


def test_equal_forms_are_equal_bytes():
    first, again = (build(CORE, Ask("a cat", seed=7)) for _ in range(2))

    assert (first.body, first.headers) == (again.body, again.headers)


@pytest.mark.parametrize(
    ("credential", "header", "value"),
    [
        (Credential(secret=CANARY), "Authorization", f"Bearer {CANARY}"),
        (
            Credential(secret=CANARY, header="X-Key", scheme=""),
            "X-Key",
            CANARY,
        ),
        (
            Credential(secret=CANARY, scheme="Key"),
            "Authorization",
            f"Key {CANARY}",
        ),
    ],
)
def test_a_key_is_sent_as_the_operator_says(credential, header, value):
    request = build(upstream("json", credential=credential), Ask("a"))

    assert request.headers[header] == value
    assert CANARY not in repr(request) + repr(credential)


def test_basic_credentials_are_encoded():
    credential = Credential(secret="user:pass", scheme="Basic")

    value = build(upstream("sdwebui", credential=credential), Ask("a")).headers

    assert b64decode(value["Authorization"].removeprefix("Basic ")) == b"user:pass"
