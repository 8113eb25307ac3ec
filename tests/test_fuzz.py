"""Whatever is asked, the server never answers with a 5xx."""

import json
import os
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.renderer.catalogue import Catalogue
from app.renderer.encode import EXTENSIONS

# Others each time. More by hand: TEST_FUZZ_TIMES=10 bin/test tests/test_fuzz.py
TIMES = int(os.environ.get("TEST_FUZZ_TIMES", "1"))
LINES, BODIES, PROMPTS = 1_200 * TIMES, 800 * TIMES, 400 * TIMES
RELAXED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

NAMES = [
    "address-label",
    "invoice",
    "place-card",
    "ticket",
    "avatar",
    "badge",
    "barcode",
    "card",
    "certificate",
    "dream",
    "gradient",
    "identicon",
    "label",
    "markdown",
    "placeholder",
    "qr",
    "quote",
    "solid",
]
FIELDS = [
    *("street", "city", "country", "sender", "table", "note"),
    *("place", "seat", "code", "kind", "number", "items", "seller", "buyer", "due"),
    *("currency", "tax", "notes", "page"),
    *("title", "subtitle", "tag", "author", "image", "theme", "name", "role"),
    *("company", "event", "qr", "course", "date", "issuer", "product", "price"),
    *("sku", "text", "color", "background", "start", "end", "angle", "seed"),
    *("logo", "logo_size", "symbology", "module"),
    *("size", "width", "height", "data", "margin", "level", "dark", "light"),
    *("heading", "presented", "completed", "prompt", "font", "lang", "emoji"),
    *("format", "quality", "scale", "compression", "v", "download"),
    *("dpi", "sizes", "bleed"),
    *("markdown", "accent", "strict", "paper"),
]
VALUES = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789.-+eE_ ", max_size=12),
    st.integers(-10, 900).map(str),
    st.floats().map(str),
    st.sampled_from(["", "true", "null", "#fff", "red", "transparent", "H", "dark"]),
    st.text(alphabet="سلام שלום नमस्ते 你好😀\u202e\u200d\n\t", max_size=200),
    st.binary(max_size=40).map(lambda data: "data:image/png;base64," + data.hex()),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner),
    max_leaves=8,
)
FORMATS = st.sampled_from([*EXTENSIONS, "bmp", ""])


def test_names_and_fields_are_those_of_the_catalogue(catalogue: Catalogue) -> None:
    fields = {
        field
        for name in catalogue.names()
        for field in catalogue.get(name).parameters.model_fields
    }

    assert set(NAMES) == set(catalogue.names()) - {"html"}
    assert fields - {"html"} <= set(FIELDS)


def field_names(data: st.DataObject, catalogue: Catalogue, name: str) -> Any:
    """Mostly the renderer's own fields, so that requests get past the parser."""
    own = list(catalogue.get(name).parameters.model_fields)
    return data.draw(
        st.lists(
            st.sampled_from(own * 3 + FIELDS) | st.text(max_size=8),
            max_size=6,
            unique=True,
        )
    )


@settings(max_examples=LINES, deadline=None, suppress_health_check=RELAXED)
@given(data=st.data())
def test_no_query_makes_a_server_error(
    client: FlaskClient, catalogue: Catalogue, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(NAMES))
    query = {field: data.draw(VALUES) for field in field_names(data, catalogue, name)}

    answer = client.get(
        f"/images/{name}.{data.draw(FORMATS)}", query_string=encodable(query)
    )

    check(answer)


@settings(max_examples=BODIES, deadline=None, suppress_health_check=RELAXED)
@given(data=st.data())
def test_no_body_makes_a_server_error(
    client: FlaskClient, catalogue: Catalogue, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(NAMES))
    values = {field: data.draw(JSON) for field in field_names(data, catalogue, name)}
    envelope = data.draw(
        st.sampled_from([values, {"renderer": name, "params": values}])
    )
    path = "/images" if envelope is not values else f"/images/{name}.png"

    answer = client.post(
        path, data=json.dumps(envelope), content_type="application/json"
    )

    check(answer)


PIECES = st.sampled_from(
    [
        *("<div>", "</div>", "<p style='", "'>", "<style>", "</style>", "<img src='"),
        *("data:image/png;base64,", "width:", "-1px;", "1e9px;", "flex;", "display:"),
        *("grid;", "position:absolute;", "font-size:", "{", "}", "&", "<svg>", "<!--"),
        *(
            "background:linear-gradient(",
            "red,",
            "blue)",
            "\u202e",
            "سلام",
            "😀",
            " x ",
        ),
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=RELAXED)
@given(st.lists(PIECES, max_size=40).map("".join), st.integers(1, 300))
def test_no_html_makes_a_server_error(
    client: FlaskClient, page: str, side: int
) -> None:
    path = f"/images/html.png?width={side}&height={side}"

    check(client.post(path, data=page.encode(), content_type="text/html"))


@settings(max_examples=300, deadline=None, suppress_health_check=RELAXED)
@given(data=st.data())
def test_no_multipart_makes_a_server_error(
    client: FlaskClient, catalogue: Catalogue, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(NAMES))
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (
            field.encode("utf-8", "replace"),
            data.draw(st.sampled_from([b"", b'; filename="a.png"'])),
            data.draw(st.binary(max_size=40)),
        )
        for field in field_names(data, catalogue, name)
    ]
    body = b"".join(parts) + data.draw(st.sampled_from([b"--x--\r\n", b"--x", b""]))
    kind = "multipart/form-data; boundary=x"

    check(client.post(f"/images/{name}.png", data=body, content_type=kind))


ASKED = {
    "prompt": st.text(min_size=1, max_size=30) | JSON,
    **{name: st.sampled_from(["dream", "qr"]) | JSON for name in ("renderer", "model")},
    "n": st.integers(-1, 3) | JSON,
    "size": st.sampled_from(["auto", "64x64", "0x0", "99999x99999"]) | JSON,
    **{name: st.integers(60, 70) | JSON for name in ("width", "height", "seed")},
    **{
        name: st.sampled_from([*EXTENSIONS, "bmp"]) | JSON
        for name in ("format", "output_format")
    },
    "response_format": st.sampled_from(["url", "b64_json"]) | JSON,
    **{name: JSON for name in ("quality", "scale", "stream", "user", "more")},
}
ACCEPTED = st.sampled_from(
    [*("*/*", "image/*", "image/webp", "application/zip", "text/html", ";q=x,,", "")]
)


@settings(max_examples=PROMPTS, deadline=None, suppress_health_check=RELAXED)
@given(data=st.data())
def test_no_prompt_makes_a_server_error(
    client: FlaskClient, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(["/inference", "/v1/images/generations"]))
    fixed = {"width": 64, "height": 64} if path == "/inference" else {"size": "64x64"}
    names = data.draw(st.lists(st.sampled_from(list(ASKED)), max_size=4, unique=True))
    body = fixed | {name: data.draw(ASKED[name]) for name in names}
    headers = {"Accept": data.draw(ACCEPTED)}
    if data.draw(st.booleans()):
        headers["Idempotency-Key"] = data.draw(st.text("ab\x7f ", max_size=3))

    answer = client.post(path, json=body, headers=headers)

    assert answer.status_code < 500, answer.text
    assert answer.status_code < 400 or answer.get_json()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a":' * 50_000, b"NaN"])
@pytest.mark.parametrize(
    "kind",
    ["application/json", "multipart/form-data", "multipart/form-data; boundary=x"],
)
def test_no_broken_body_makes_a_server_error(
    client: FlaskClient, body: bytes, kind: str
) -> None:
    check(client.post("/images/card.png", data=body, content_type=kind))


def encodable(query: dict[str, str]) -> dict[bytes, bytes]:
    """Spell text as bytes: a URL can hold what is not UTF-8."""
    return {
        key.encode("utf-8", "surrogatepass"): value.encode("utf-8", "surrogatepass")
        for key, value in query.items()
    }


def check(answer: Any) -> None:
    """An answer is a picture or a problem that says what is wrong."""
    assert answer.status_code < 500, answer.get_data(as_text=True)
    if answer.status_code == 200:
        assert answer.content_type.startswith(("image/", "application/pdf"))
        assert answer.data
    else:
        assert answer.content_type == "application/problem+json"
        assert answer.get_json()["detail"]
