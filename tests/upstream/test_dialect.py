"""What each kind can be told has bounds, and what it cannot be told is named."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.renderer.errors import BadParameter
from app.upstream.request.adapters import Ask, build, check, parameters
from app.upstream.request.capabilities import RATIOS, dialect_of, open_fields
from app.upstream.service import Service


def upstream(kind: str, **more: Any) -> Service:
    return Service(name="far", kind=kind, url="http://far.example", **more)  # type: ignore[arg-type]


OPENAI = upstream("openai", model="gpt-image-1")
DALL_E_2 = upstream("openai", model="dall-e-2")
DALL_E_3 = upstream("openai", model="dall-e-3")
LOCAL_OPENAI = upstream("openai", model="flux")
V1 = upstream("stability", api="v1", model="stable-diffusion-v1-6")
SDXL = upstream("stability", api="v1", model="stable-diffusion-xl-1024-v1-0")
CORE = upstream("stability", api="v2beta", model="core")
WEBUI = upstream("sdwebui")
AUTO = upstream("auto")
BINARY = upstream("binary")
JSON = upstream("json")
DIFFUSION = ("prompt", "steps", "cfg_scale")
ALL = (OPENAI, DALL_E_2, DALL_E_3, LOCAL_OPENAI, V1, SDXL, CORE, WEBUI, AUTO, BINARY)


@pytest.mark.parametrize(
    ("upstream", "ask", "field"),
    [
        (OPENAI, Ask("a", seed=1), "seed"),
        (OPENAI, Ask("a", "b"), "negative_prompt"),
        (OPENAI, Ask("a", n=11), "n"),
        (OPENAI, Ask("a", width=1024), "height"),
        (OPENAI, Ask("a", height=1024), "width"),
        (OPENAI, Ask("a", width=1000, height=1000), "width"),
        (DALL_E_2, Ask("a" * 1001), "prompt"),
        (DALL_E_3, Ask("a", n=2), "n"),
        (V1, Ask("a", width=130, height=128), "width"),
        (V1, Ask("a", width=64, height=128), "width"),
        (V1, Ask("a", seed=1 << 32), "seed"),
        (V1, Ask("a", "b" * 2001), "negative_prompt"),
        (SDXL, Ask("a", width=512, height=512), "width"),
        (CORE, Ask("a", n=2), "n"),
        (CORE, Ask("a", seed=(1 << 32) - 1), "seed"),
        (CORE, Ask("a", width=100, height=99), "width"),
        (WEBUI, Ask("a", width=513), "width"),
        (WEBUI, Ask("a", height=56), "height"),
        (WEBUI, Ask("a", n=17), "n"),
        (AUTO, Ask("a", "b"), "negative_prompt"),
        (AUTO, Ask("a", seed=-1), "seed"),
        (AUTO, Ask("  "), "prompt"),
        (BINARY, Ask("a", n=2), "n"),
        (JSON, Ask("a", n=0), "n"),
    ],
)
def test_what_a_kind_cannot_be_told_is_named(upstream, ask, field):
    with pytest.raises(BadParameter) as caught:
        check(upstream, ask)

    assert [fault.field for fault in caught.value.faults] == [field]


def test_every_fault_is_named_at_once():
    with pytest.raises(BadParameter) as caught:
        check(OPENAI, Ask(" ", "b", seed=1, n=11, width=1, height=1))

    named = {fault.field for fault in caught.value.faults}
    assert named == {"prompt", "negative_prompt", "seed", "n", "width"}


@pytest.mark.parametrize(
    ("upstream", "most"), [(V1, 4294967295), (CORE, 4294967294), (AUTO, 2**53 - 1)]
)
def test_the_largest_seed_is_said_exactly(upstream, most):
    body = build(upstream, Ask("a", seed=most)).body

    assert str(most).encode() in body


@pytest.mark.parametrize(("sides", "name"), RATIOS.items())
def test_every_ratio_is_known_by_any_size_that_has_it(sides, name):
    width, height = (side * 64 for side in sides)

    wish = Ask("a", width=width, height=height)
    check(CORE, wish)
    request = build(CORE, wish)

    assert request.warnings == (f"width and height became the aspect ratio {name}",)


@pytest.mark.parametrize("upstream", [u for u in ALL if dialect_of(u).sizes])
def test_every_size_that_is_listed_can_be_asked_for(upstream):
    for width, height in dialect_of(upstream).sizes:
        wish = Ask("a", width=width, height=height)

        check(upstream, wish)
        request = build(upstream, wish)

        assert str(width).encode() in request.body


def test_an_operator_says_what_a_service_knows():
    knows = upstream("json", knows=("negative_prompt", "width"))

    wish = Ask("a", "b", width=64)
    check(knows, wish)
    request = build(knows, wish)

    assert request.body == b'{"prompt":"a","negative_prompt":"b","width":64}'
    assert set(parameters(knows).model_fields) == {"prompt", "negative_prompt", "width"}
    assert dialect_of(knows).most == 1


def test_an_operator_says_which_sizes_there_are():
    listed = upstream("auto", sizes=((64, 64),))

    with pytest.raises(BadParameter, match=r"64x65: .* one of 64x64"):
        check(listed, Ask("a", width=64, height=65))


@pytest.mark.parametrize(("allowed", "most"), [(3, 3), (50, 16)])
def test_an_answer_of_fewer_images_bounds_what_is_asked(allowed, most):
    assert dialect_of(upstream("auto", max_images=allowed)).most == most


@pytest.mark.parametrize("upstream", ALL)
def test_what_a_kind_takes_is_part_of_what_it_can_be_taught(upstream):
    assert set(dialect_of(upstream).fields) <= set(open_fields(upstream))


@pytest.mark.parametrize(
    ("upstream", "fields"),
    [
        (LOCAL_OPENAI, {"prompt", "width", "height"}),
        (
            OPENAI,
            {"prompt", "width", "height", "model_quality", "model_background"}
            | {"moderation", "user"},
        ),
        (DALL_E_2, {"prompt", "width", "height", "user"}),
        (DALL_E_3, {"prompt", "width", "height", "model_quality", "style", "user"}),
        (V1, {*DIFFUSION, "negative_prompt", "seed", "width", "height"}),
        (CORE, {"prompt", "negative_prompt", "seed", "width", "height"}),
        (WEBUI, {*DIFFUSION, "negative_prompt", "seed", "width", "height"}),
        (AUTO, {"prompt", "seed", "width", "height"}),
        (BINARY, {"prompt", "seed", "width", "height"}),
    ],
)
def test_callers_have_the_parameters_that_a_service_knows(upstream, fields):
    assert set(parameters(upstream).model_fields) == fields


def test_parameters_of_callers_become_what_is_asked():
    given = parameters(WEBUI).model_validate({"prompt": "a", "seed": 3, "width": 64})

    assert Ask.of(given, n=2, format="png") == Ask(
        "a", seed=3, width=64, n=2, format="png"
    )


@pytest.mark.parametrize(
    ("upstream", "values", "field"),
    [
        (WEBUI, {}, "prompt"),
        (WEBUI, {"prompt": ""}, "prompt"),
        (WEBUI, {"prompt": " \t\n\u00a0"}, "prompt"),
        (DALL_E_2, {"prompt": "a" * 1001}, "prompt"),
        (WEBUI, {"prompt": "a", "seed": -1}, "seed"),
        (WEBUI, {"prompt": "a", "seed": 1 << 32}, "seed"),
        (WEBUI, {"prompt": "a", "width": 65}, "width"),
        (WEBUI, {"prompt": "a", "n": 2}, "n"),
        (WEBUI, {"prompt": "a", "steps": 0}, "steps"),
        (WEBUI, {"prompt": "a", "style": "vivid"}, "style"),
        (OPENAI, {"prompt": "a", "model_quality": "hd"}, "model_quality"),
        (DALL_E_3, {"prompt": "a", "model_quality": "high"}, "model_quality"),
        (OPENAI, {"prompt": "a", "seed": 1}, "seed"),
        (AUTO, {"prompt": "a", "negative_prompt": "b"}, "negative_prompt"),
    ],
)
def test_parameters_out_of_bounds_are_refused(upstream, values, field):
    with pytest.raises(ValidationError) as caught:
        parameters(upstream).model_validate(values)

    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    ("upstream", "details", "sent"),
    [
        (
            OPENAI,
            {"model_quality": "high", "model_background": "opaque", "user": "u-1"},
            b'"quality":"high","background":"opaque","user":"u-1"}',
        ),
        (DALL_E_3, {"style": "natural"}, b'"style":"natural"}'),
        (WEBUI, {"steps": 30, "cfg_scale": 7.5}, b'"steps":30,"cfg_scale":7.5}'),
        (V1, {"steps": 30}, b'"steps":30}'),
        (
            upstream("json", knows=("model_quality",)),
            {"model_quality": "ultra"},
            b'{"prompt":"a","quality":"ultra"}',
        ),
        (
            upstream("auto", knows=("model_quality",)),
            {"model_quality": "ultra"},
            b'{"prompt":"a","model_quality":"ultra"}',
        ),
        (
            upstream("openai", model="flux", knows=("style", "n")),
            {"style": "any"},
            b'"style":"any"}',
        ),
    ],
)
def test_details_are_handed_on_by_the_services_names(upstream, details, sent):
    given = parameters(upstream).model_validate({"prompt": "a", **details}, strict=True)
    wish = Ask.of(given)

    check(upstream, wish)
    request = build(upstream, wish)

    assert request.body.endswith(sent)
