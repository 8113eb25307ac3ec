"""Every example request of the document is answered as the document says."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from app.config import Settings
from tests.openapi.references import Document, resolved

# An id or signature that is made up leads nowhere, and so do documents that are not
# built; a stream is open for long.
GONE = re.compile(r"{key}|^/v1/(files|batches|models)/|^/media/|^/docs/({page})?$")
STREAMS = ("/jobs/{key}/events",)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """A server with a store of its own."""
    environ = {
        "MIMEO_STORE": str(tmp_path_factory.mktemp("store")),
        "MIMEO_LOCAL_CALLERS": "on",
        "MIMEO_ACCESS_LOG": "off",
    }
    return create_app(Settings.from_env(environ), {}).test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> Document:
    found: Document = json.loads(client.get("/openapi.json").data)
    return found


def operations(document: Document, method: str) -> Iterator[tuple[str, Document]]:
    for path, item in document["paths"].items():
        if method in item and path not in STREAMS:
            yield path, item[method]


def address(document: Document, path: str, operation: Document) -> str:
    """Return the URL of the examples of what is required."""
    values: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for each in operation["parameters"]:
        row = resolved(document, each)
        if row.get("required"):
            values[row["in"]][row["name"]] = row["example"]
    filled = re.sub(
        r"{(\w+)}", lambda found: quote(str(values["path"][found[1]])), path
    )
    return f"{filled}?{urlencode(values['query'])}" if values["query"] else filled


def check(document: Document, operation: Document, answer: TestResponse) -> None:
    """The status and the media type are among those that the operation has."""
    said = f"{operation['operationId']}: {answer.status} {answer.data[:300]!r}"
    assert str(answer.status_code) in operation["responses"], said
    row = resolved(document, operation["responses"][str(answer.status_code)])
    if answer.data and row.get("content"):
        given = answer.headers["Content-Type"]
        bare = given.partition(";")[0]
        wanted = {name.partition(";")[0] for name in row["content"]}
        assert wanted & {bare, f"{bare.partition('/')[0]}/*", "*/*"}, said


def test_every_example_of_a_body_is_taken(
    client: FlaskClient, document: Document
) -> None:
    sent = 0
    for path, operation in operations(document, "post"):
        body = resolved(document, operation.get("requestBody", {}))
        for media_type, content in body.get("content", {}).items():
            for example in content.get("examples", {}).values():
                url = address(document, path, operation)
                data = json.dumps(example["value"])
                with client.post(url, data=data, content_type=media_type) as answer:
                    assert answer.status_code < 300, (url, answer.data[:300])
                    check(document, operation, answer)
                sent += 1

    assert sent > 20


def test_every_address_of_examples_is_answered_as_it_says(
    client: FlaskClient, document: Document
) -> None:
    asked = 0
    for path, operation in operations(document, "get"):
        url = address(document, path, operation)
        with client.get(url) as answer:
            if not GONE.search(path):
                assert answer.status_code < 400, (url, answer.data[:300])
            check(document, operation, answer)
        asked += 1

    assert asked > 50
