"""What may come of a hostile process: plain values of the kinds that are agreed on."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from app.renderer.base import Encoded, Picture
from app.renderer.errors import (
    BadParameter,
    BrokenTemplate,
    Fault,
    RefusedTemplate,
    UnknownFormat,
)
from app.renderer.sandbox.answers import BadAnswer, packed, unpacked
from app.renderer.sandbox.sandbox import _KINDS
from app.renderer.template.template_preview import (
    LengthDrawing,
    SetText,
    TemplatePreview,
)

PLAIN = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False)
    | some.text(some.characters())
    | some.binary(max_size=20),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.lists(inner, max_size=3).map(tuple)
        | some.dictionaries(some.text(), inner, max_size=3)
    ),
)
ENCODED = Encoded(b"\x89PNG", "image/png", 3, 4, {"warnings": ["a", "\ud800"]}, 0.5)


@given(PLAIN)
def test_what_is_plain_comes_back_as_it_was(value: Any) -> None:
    assert unpacked(packed(value, {}), {}) == value


@pytest.mark.parametrize(
    "value",
    [
        ENCODED,
        TemplatePreview(
            "Title",
            (30, 40),
            {"type": "object"},
            [
                LengthDrawing(
                    *("short", {"a": "b"}, (SetText("a", 9, 1, 9.5, ""),), ("b",)),
                    *(ENCODED, None),
                )
            ],
        ),
    ],
)
def test_a_record_comes_back_as_it_was(value: Any) -> None:
    assert unpacked(packed(value, _KINDS), _KINDS) == value


@pytest.mark.parametrize(
    "error",
    [
        BadParameter(Fault("title", "is long"), Fault("line", "too")),
        BrokenTemplate("a", "a/template.html", 3, "no"),
        RefusedTemplate("a", "a/template.html", None, "no"),
        UnknownFormat("tiff", ("png", "webp")),
        MemoryError(),
    ],
)
def test_an_error_comes_back_as_it_was(error: Exception) -> None:
    found = unpacked(packed(error, _KINDS), _KINDS)

    assert (type(found), found.args, str(found)) == (
        type(error),
        error.args,
        str(error),
    )


def test_an_image_comes_back_as_it_was() -> None:
    drawn = Picture(Image.effect_noise((20, 10), 50).convert("RGBA"), facts={"a": 1})

    found = unpacked(packed(drawn, _KINDS), _KINDS)

    assert found.image.tobytes() == drawn.image.tobytes()
    assert (found.image.size, found.facts) == ((20, 10), {"a": 1})


def encoded(**changed: Any) -> dict[str, Any]:
    values = {"data": {"bytes": 1}, "type": "image/png", "width": 1, "height": 1}
    rest = [{"map": [], "of": []}, 0, 0, 0, 0]
    return {"kind": "Encoded", "of": [*{**values, **changed}.values(), *rest]}


@pytest.mark.parametrize(
    "document",
    [
        encoded(data="text"),
        encoded(type=None),
        encoded(width="1"),
        encoded(data={"bytes": -1}),
        encoded(data={"bytes": 1 << 70}),
        encoded(data={"bytes": 2}),
        encoded(data={"bytes": "1"}),
        {"kind": "Encoded", "of": []},
        {"kind": "Popen", "of": [["true"]]},
        {"kind": ["Encoded"], "of": []},
        {"kind": "BadParameter", "of": ["title"]},
        {"image": "RGBA", "size": [1 << 30, 1 << 30], "bytes": 1},
        {"image": "RGBA", "size": [-1, -1], "bytes": 1},
        {"image": "F", "size": [1, 1], "bytes": 1},
        {"image": "RGB", "size": 1, "bytes": 1},
        {"map": ["a"], "of": []},
        {"tuple": 3},
        {},
    ],
    ids=repr,
)
def test_any_other_document_is_refused(document: Any) -> None:
    text = json.dumps(document).encode()

    with pytest.raises(BadAnswer):
        unpacked(len(text).to_bytes(8) + text + b"x", _KINDS)


@given(some.binary(max_size=200))
def test_bytes_of_any_kind_are_an_answer_or_refused(data: bytes) -> None:
    with suppress(BadAnswer):
        unpacked(data, _KINDS)


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"tuple":' * 100_000])
def test_an_answer_that_nests_too_deep_is_refused(deep: bytes) -> None:
    with pytest.raises(BadAnswer):
        unpacked(len(deep).to_bytes(8) + deep, _KINDS)
