"""Numbers and texts that no program means: a 4xx, never a 5xx, on every way in."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.renderer.catalogue import Catalogue

HUGE = [
    "9" * 20,
    "9" * 400,
    "9" * 4300,
    "9" * 4301,
    "9" * 7000,
    "1e400",
    "-" + "9" * 20,
]
# Python's int() and float() take all of these.
ODD = ["1_00", "+100", "100.0", " 100", "100 ", "0100", "\u0661\u0660\u0660", "1e2"]
ODD_FLOATS = ["+2", "2.", "1_0", " 2", "02", "inf", "nan", "infinity", "\u0662", ".2e1"]
HALF = '"\\ud800"'


def numbers(catalogue: Catalogue) -> list[tuple[str, str]]:
    found = [("solid", "scale"), ("solid", "quality")]
    for name in catalogue.names():
        schema = catalogue.get(name).parameters.model_json_schema()["properties"]
        for field, row in schema.items():
            kinds = {each.get("type") for each in (row, *row.get("anyOf", ()))}
            if kinds & {"integer", "number"}:
                found.append((name, field))
    return found


@pytest.mark.parametrize("value", HUGE)
def test_huge_number_in_a_query_is_a_422(
    client: FlaskClient, catalogue: Catalogue, value: str
) -> None:
    for name, field in numbers(catalogue):
        given = {**catalogue.get(name).example, field: value}

        answer = client.get(f"/images/{name}.png", query_string=given)

        assert answer.status_code == 422, (name, field)
        assert field in answer.get_json()["detail"]


@pytest.mark.parametrize("value", [*HUGE, "-1e400", "NaN", "Infinity"])
def test_huge_number_in_json_is_a_4xx(
    client: FlaskClient, catalogue: Catalogue, value: str
) -> None:
    for name, field in numbers(catalogue):
        others = {k: v for k, v in catalogue.get(name).example.items() if k != field}
        text = json.dumps(others).removesuffix("}")
        text += f'{", " if others else ""}"{field}": {value}}}'

        answer = client.post(
            f"/images/{name}.png", data=text, content_type="application/json"
        )

        assert answer.status_code in (400, 422), (name, field, answer.data)


@pytest.mark.parametrize("value", [*HUGE, "NaN", "-Infinity"])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/images", '{"renderer": "solid", "params": {"width": %s}}'),
        ("/images", '{"renderer": "solid", "scale": %s}'),
        ("/inference", '{"prompt": "x", "n": %s}'),
        ("/inference", '{"prompt": "x", "seed": %s}'),
        ("/inference", '{"prompt": "x", "width": %s}'),
        ("/inference", '{"prompt": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "n": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "seed": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "stream": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "output_compression": %s}'),
        ("/collections", '{"renderer": "solid", "items": [{"width": %s}]}'),
        (
            "/collections",
            '{"renderer": "dream", "defaults": {"seed": %s}}',
        ),
        ("/collections", '{"renderer": "solid", "quality": %s, "items": [{}]}'),
        ("/collections", '{"renderer": %s, "items": [{}]}'),
        (
            "/collections.json",
            '{"renderer": "qr", "items": [{"size": %s}]}',
        ),
    ],
)
def test_huge_number_in_any_document_is_a_4xx(
    client: FlaskClient, path: str, text: str, value: str
) -> None:
    answer = client.post(path, data=text % value, content_type="application/json")

    assert answer.status_code in (400, 422), answer.data


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_huge_number_in_a_row_is_a_4xx(
    client: FlaskClient, kind: str, value: str
) -> None:
    body = f"data,size\nx,{value}\n" if "csv" in kind else f'{{"size": {value}}}\n'

    answer = client.post("/collections?renderer=qr", data=body, content_type=kind)

    assert answer.status_code in (400, 422), answer.data


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize(
    "path",
    [
        "/collections/x/%s.png",
        "/collections/x.gif?duration=%s",
        "/collections/x/sheet.png?columns=%s",
        "/media/x.png?expires=%s&signature=x",
    ],
)
def test_huge_number_in_a_path_or_an_option_is_a_4xx(
    client: FlaskClient, path: str, value: str
) -> None:
    answer = client.get(path % value)

    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("value", HUGE)
def test_huge_number_that_is_no_pin_counts_for_nothing(
    client: FlaskClient, value: str
) -> None:
    answer = client.get(f"/images/solid.png?width=10&height=10&v={value}")

    assert (answer.status_code, answer.headers["X-Ignored-Parameters"]) == (200, "v")


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Range", "bytes=%s-"),
        ("Range", "bytes=0-%s"),
        ("If-None-Match", "%s"),
        ("If-Modified-Since", "%s"),
        ("Accept", "image/png;q=%s"),
        ("Idempotency-Key", "%s"),
        ("Upgrade-Insecure-Requests", "%s"),
    ],
)
def test_huge_number_in_a_header_makes_no_5xx(
    client: FlaskClient, name: str, text: str, value: str
) -> None:
    url = "/images/solid.png?width=9&height=9"

    answer = client.get(url, headers={name: text % value})

    assert answer.status_code < 500


@pytest.mark.parametrize("value", ODD)
def test_whole_number_has_one_spelling_in_a_query(
    client: FlaskClient, value: str
) -> None:
    answer = client.get("/images/solid.png", query_string={"width": value})

    assert answer.status_code == 422
    assert answer.get_json()["field"] == "width"


@pytest.mark.parametrize("value", ODD_FLOATS)
def test_number_has_one_grammar_in_a_query(client: FlaskClient, value: str) -> None:
    answer = client.get("/images/solid.png", query_string={"scale": value})

    assert answer.status_code == 422
    assert answer.get_json()["field"] == "scale"


@pytest.mark.parametrize("value", ODD)
def test_whole_number_has_one_spelling_in_a_form(
    client: FlaskClient, value: str
) -> None:
    answer = client.post("/images/solid.png", data={"quality": value, "width": "1"})

    assert answer.status_code == 422
    assert answer.get_json()["field"] == "quality"


@pytest.mark.parametrize("value", ["1_00", "+100", "100.0", "0100", "1e2"])
def test_whole_number_has_one_spelling_in_a_table(
    client: FlaskClient, value: str
) -> None:
    answer = client.post(
        "/collections?renderer=solid", data=f"width\n{value}\n", content_type="text/csv"
    )

    assert answer.status_code == 422
    assert answer.get_json()["rows"][0]["field"] == "width"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/images/card.png", '{"title": %s}'),
        ("/images/card.png", '{"title": "x", %s: 1}'),
        ("/images", '{"renderer": "card", "params": {"title": %s}}'),
        ("/images", '{"renderer": %s}'),
        ("/inference", '{"prompt": %s}'),
        ("/inference", '{"prompt": "x", "renderer": %s}'),
        ("/inference", '{"prompt": "x", "format": %s}'),
        ("/inference", '{"prompt": "x", %s: 1}'),
        ("/v1/images/generations", '{"prompt": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "model": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "user": %s}'),
        ("/v1/images/generations", '{"prompt": "x", "metadata": [{%s: 1}]}'),
        ("/collections", '{"renderer": "card", "items": [{"title": %s}]}'),
        ("/collections", '{"renderer": "card", "name": %s, "items": [{"title": "x"}]}'),
        ("/collections.zip", '{"renderer": "card", "items": [{%s: "x"}]}'),
    ],
)
def test_half_a_surrogate_pair_is_a_4xx(
    client: FlaskClient, path: str, text: str
) -> None:
    answer = client.post(path, data=text % HALF, content_type="application/json")

    assert answer.status_code in (400, 422), answer.data


def test_whole_surrogate_pair_is_drawn(client: FlaskClient) -> None:
    whole: Any = '{"data": "\\ud83d\\ude00"}'

    answer = client.post("/images/qr.png", data=whole, content_type="application/json")

    assert answer.status_code == 200
