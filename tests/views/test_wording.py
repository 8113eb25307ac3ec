"""Refusals name the field, in words of HTTP and JSON and none of Python's."""

import json
import re
from typing import Any

import pytest

from app.parsing.prefer import FOR_A_JOB

# What pydantic and Python call what JSON has other words for.
FOREIGN = re.compile(
    r"Input should|valid (integer|string|number|boolean|list|dictionary|tuple)"
    r"|\b(NoneType|None|dict|str|int|float|bool|tuple|class|instance|pydantic|octets)\b"
    r"|after validation|Unable to parse|expected tags|Traceback|unhashable|iterable"
)
WRONG = (None, 1.5, True, "x", [], [1], {"a": 1})
BODIES = {
    "/images": {"renderer": "solid", "params": {}},
    "/images/badge": {"name": "Ada"},
    "/images/invoice": {"number": "1"},
    "/images/barcode": {"data": "12"},
    "/inference": {"prompt": "a"},
    "/v1/images/generations": {"prompt": "a", "model": "dream"},
    "/v1/images/edits": {"prompt": "a", "model": "dream", "image": "data:,x"},
    "/v1/images/variations": {"model": "dream", "image": "data:,x"},
    "/v1/batches": {"input_file_id": "file-x", "endpoint": "/v1/images/generations"},
    "/collections": {"renderer": "solid", "items": [{"width": 20}]},
    "/collections.zip": {"renderer": "solid", "items": [{"width": 20}]},
    "/collections.pdf": {"renderer": "solid", "items": [{"width": 20}]},
    "/jobs": {"renderer": "solid", "items": [{"width": 20}]},
}
MEMBERS = {
    "/images": ("renderer", "params", "format", "scale", "sizes", "webhook"),
    "/images/badge": ("name", "qr", "font", "quality", "dpi", "bleed", "background"),
    "/images/invoice": ("items", "number", "currency", "paid"),
    "/images/barcode": ("data", "symbology", "module", "text"),
    "/inference": ("prompt", "n", "seed", "size", "model", "format", "webhook"),
    "/v1/images/generations": ("prompt", "n", "size", "model", "user", "stream"),
    "/v1/images/edits": ("prompt", "n", "size", "image", "mask"),
    "/v1/images/variations": ("n", "size", "image", "response_format"),
    "/v1/batches": ("input_file_id", "endpoint", "completion_window", "metadata"),
    **dict.fromkeys(
        ("/collections", "/collections.zip", "/collections.pdf", "/jobs"),
        ("renderer", "items", "defaults", "names", "sheet", "webhook", "format"),
    ),
}


@pytest.mark.parametrize("path", BODIES)
def test_a_wrong_type_is_refused_without_words_of_python(client, path) -> None:
    refused = 0
    bodies: list[Any] = [*WRONG]
    bodies += [{**BODIES[path], m: each} for m in MEMBERS[path] for each in WRONG]
    if "items" in BODIES[path]:
        bodies += [{**BODIES[path], "items": [each]} for each in WRONG]
        bodies += [{**BODIES[path], "items": [{"width": each}]} for each in WRONG]
        bodies += [{**BODIES[path], "sheet": {"page": each}} for each in WRONG]

    for body in bodies:
        with client.post(path, json=body) as answer:
            if answer.status_code < 400:
                continue
            refused += 1
            document = answer.get_json()
            # A member of RFC 9457.
            document.pop("instance", None)
            assert answer.status_code < 500, (body, document)
            assert not FOREIGN.search(json.dumps(document)), (body, document)
    assert refused > len(WRONG)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("width=wide", "is no length: write a number and mm, cm, in, pt or px"),
        ("width=1e3", "must be a whole number"),
        ("width=0", "must be greater than or equal to 1"),
        ("scale=x", "must be a number"),
        ("bleed=perhaps", "must be true or false"),
        ("compression=best", "must be 'fast' or 'small'"),
    ],
)
def test_a_wrong_text_in_a_query_is_refused_in_plain_words(client, query, reason):
    answer = client.get(f"/images/solid.png?{query}")

    assert answer.status_code == 422
    [fault] = answer.get_json()["errors"]
    assert fault["field"] == query.partition("=")[0]
    assert fault["reason"].startswith(reason)


@pytest.mark.parametrize("path", ["/collections.zip", "/collections"])
def test_a_webhook_without_prefer_hears_of_prefer(client, path) -> None:
    query = {"renderer": "solid", "webhook": "https://example.com"}
    rows = {"data": '{"width": 20}\n', "content_type": "application/x-ndjson"}

    answer = client.post(path, query_string=query, **rows)

    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"field": "webhook", "reason": FOR_A_JOB}]
    assert "Prefer: respond-async" in FOR_A_JOB


def test_inference_names_what_it_does_not_know_in_the_query(client) -> None:
    answer = client.post("/inference?promt=a", json={"prompt": "a"})

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["field"] == "promt"
