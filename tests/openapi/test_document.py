"""The document is valid, and says all that the routes, models and tables say."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.exceptions import HTTPException

from app import create_app
from app.cli.main import main
from app.collection.export.exports import FORMS, Motion, PdfOptions
from app.collection.export.print_sheet import PrintOptions
from app.collection.ingest.shared import _OWN
from app.collection.ingest.upload import DELIVERY, READERS
from app.config import Settings
from app.dialects import openai
from app.openapi.openapi_document import build
from app.openapi.responses import GROUPS, HEADERS, OPENAI_GROUPS
from app.problems import _TOLD, PROBLEMS
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue
from app.views.gate import ACTIONS
from app.views.sheets import SheetOptions
from tests.openapi.references import Document, resolved

ROOT = Path(__file__).parent.parent.parent
METHODS = ("get", "head", "post", "delete", "put", "patch")
# What each parameter of a path could be, for finding the route of a path.
SAMPLES = {
    "key": "0" * 64,
    "index": "1",
    "format": "png",
    "form": "zip",
    "file": "page.css",
}


@pytest.fixture(scope="module")
def document(catalogue: Catalogue, settings: Settings) -> Document:
    """The document as it is sent: through JSON, and back."""
    made: Document = json.loads(json.dumps(build(catalogue, settings)))
    return made


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def parameters(document: Document, path: str, method: str) -> dict[str, Document]:
    rows = document["paths"][path][method]["parameters"]
    return {row["name"]: row for row in (resolved(document, each) for each in rows)}


def concrete(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: SAMPLES.get(found[1], "abc"), path)


def test_the_document_is_openapi(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_schema_is_json_schema(document: Document) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_route_and_method_is_in_the_document(
    app: Flask, document: Document
) -> None:
    adapter = app.url_map.bind("localhost")
    found = set()
    for path, method, _ in operations(document):
        try:
            rule, _ = adapter.match(concrete(path), method.upper(), return_rule=True)
        except HTTPException as error:
            raise AssertionError(f"{method} {path} has no route") from error
        found.add((rule.rule, method.upper()))

    routes = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        # Equal on every route, and said once: see docs/decisions/openapi.md.
        if method != "OPTIONS"
    }
    assert found == routes


def test_every_operation_says_what_the_gate_asks_for(
    app: Flask, catalogue: Catalogue, settings: Settings
) -> None:
    adapter = app.url_map.bind("localhost")
    keyed = build(catalogue, replace(settings, access="keys"))
    scopes = {
        **{"keep": "draw:*", "administer": "admin", "jobs": "jobs", "read": "read"},
        "templates": "templates",
        "draw": "draw:",
    }

    for path, method, operation in operations(keyed):
        endpoint, _ = adapter.match(concrete(path), method.upper())
        action = ACTIONS.get(endpoint, "administer")
        security = operation["security"]
        if action == "look":
            assert security == [{}], path
        elif action == "media":
            assert security == [{"signature": []}]
        else:
            assert security[0]["bearer"][0].startswith(scopes[action]), path
            assert ({"signature": []} in security) == (action in ("draw", "read"))


def test_in_open_access_anyone_may_draw_and_no_one_administers(
    document: Document,
) -> None:
    paths = document["paths"]

    assert {} in paths["/images/card.{format}"]["get"]["security"]
    assert {} in paths["/jobs"]["post"]["security"]
    assert {} not in paths["/metrics"]["get"]["security"]


def test_every_name_of_an_operation_is_its_own(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_every_parameter_of_every_renderer_is_in_its_query_and_bodies(
    catalogue: Catalogue, document: Document
) -> None:
    for name in catalogue.names():
        fields = {*catalogue.get(name).parameters.model_fields}
        path = f"/images/{name}.{{format}}"
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert fields <= parameters(document, path, "get").keys(), name
        for kind in (
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
        ):
            schema = resolved(document, content[kind]["schema"])
            assert fields <= schema["properties"].keys(), (name, kind)


def test_every_option_of_an_image_is_in_the_document(document: Document) -> None:
    by_accept = parameters(document, "/images/badge", "get")
    icons = parameters(document, "/images/solid", "get")
    envelope = document["paths"]["/images"]["post"]["requestBody"]["content"]
    schemas = envelope["application/json"]["schema"]["oneOf"]
    found = {name for each in schemas for name in each["properties"]}

    assert Output.model_fields.keys() <= by_accept.keys() | icons.keys()
    assert found == {"renderer", "params", "webhook", *Output.model_fields}
    assert "format" not in parameters(document, "/images/solid.{format}", "get") or (
        parameters(document, "/images/solid.{format}", "get")["format"]["in"] == "path"
    )


def test_every_option_of_a_delivery_is_in_the_document(document: Document) -> None:
    whole = parameters(document, "/collections/{key}.{form}", "get")
    names = {f"sheet[{name}]" for name in PrintOptions.model_fields}

    wanted = {*Motion.model_fields, *PdfOptions.model_fields, *names} - {"sheet"}
    assert wanted <= whole.keys()
    assert set(whole["form"]["schema"]["enum"]) == {*FORMS}
    sheet = parameters(document, "/collections/{key}/sheet.{format}", "get")
    assert SheetOptions.model_fields.keys() <= sheet.keys()


@pytest.mark.parametrize("path", ["/collections", "/collections.{form}", "/jobs"])
def test_every_term_of_an_upload_is_in_the_document(
    document: Document, path: str
) -> None:
    post = document["paths"][path]["post"]
    content = post["requestBody"]["content"]
    schema = resolved(document, content["application/json"]["schema"])

    query = parameters(document, path, "post").keys()
    assert {*_OWN, *Output.model_fields} <= query
    assert {"Prefer", "Idempotency-Key", "webhook"} <= query
    assert schema["properties"].keys() == {
        *("renderer", "name", "names", "bad_rows", "defaults", "bind", "items"),
        *Output.model_fields,
        *DELIVERY,
    }
    assert content.keys() == {*READERS}


def test_every_field_of_openai_is_in_the_document(document: Document) -> None:
    schema = document["components"]["schemas"]["ImagesRequest"]

    assert schema["properties"].keys() == openai._Request.model_fields.keys()


def test_every_type_of_problem_can_come_from_some_operation(
    document: Document,
) -> None:
    # Under its name as a problem, or as OpenAI's dialect spells that.
    found = {
        name
        for _, _, operation in operations(document)
        for answer in operation["responses"].values()
        for row in resolved(document, answer).get("content", {}).values()
        for name in row.get("examples", {})
    }

    assert {row.slug for row in PROBLEMS.values()} <= found
    named = {kind for group in (GROUPS, OPENAI_GROUPS) for kind in group}
    assert named <= {
        name.rstrip("0123456789") for name in document["components"]["responses"]
    }


def test_every_member_of_a_problem_is_described(document: Document) -> None:
    described = document["components"]["schemas"]["Problem"]["properties"]

    assert {*_TOLD, "errors", "rows", "more"} <= described.keys()


def test_every_example_of_a_problem_is_one(document: Document) -> None:
    schema = document["components"]["schemas"]["Problem"]
    check = Draft202012Validator(schema)

    for answer in document["components"]["responses"].values():
        for kind, row in answer.get("content", {}).items():
            if kind == "application/problem+json":
                for example in row["examples"].values():
                    check.validate(example["value"])


def test_headers_are_described_once_and_all_are_used(document: Document) -> None:
    text = json.dumps(document)

    for name in HEADERS:
        assert f'"#/components/headers/{name}"' in text, name


def test_bounds_are_those_of_this_server(
    catalogue: Catalogue, settings: Settings
) -> None:
    bounded = replace(settings, max_side=500, max_text_chars=77)
    document = build(catalogue, bounded)

    width = document["components"]["schemas"]["Solid"]["properties"]["width"]
    text = document["components"]["schemas"]["Qr"]["properties"]["data"]
    assert width["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 500}
    assert text["maxLength"] == 77


def test_a_gateway_status_of_the_operator_is_the_one_that_is_said(
    catalogue: Catalogue, settings: Settings
) -> None:
    document = build(catalogue, replace(settings, gateway_status=530))

    answers = document["paths"]["/images/card.{format}"]["get"]["responses"]
    assert "530" in answers and "502" not in answers and "504" not in answers


def test_the_terminal_prints_what_the_server_sends(
    client: FlaskClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MIMEO_SYSTEM_FONTS", "off")
    sent = client.get("/openapi.json")

    assert main(["openapi"]) == 0
    assert json.loads(capsys.readouterr().out)["paths"] == sent.get_json()["paths"]
    assert sent.content_type == "application/json"


def test_who_has_the_document_is_told_that_it_is_the_same(client: FlaskClient) -> None:
    first = client.get("/openapi.json")

    again = client.get(
        "/openapi.json", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert (again.status_code, again.data) == (304, b"")


def test_a_template_that_is_edited_makes_another_document(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "template.html").write_text("<div>{{ word }}</div>")

    def declare(name: str) -> None:
        (folder / "parameters.toml").write_text(
            f'title = "Own"\nwidth = 40\nheight = 20\n[parameters.{name}]\n'
            'type = "text"\nrequired = true\nmax_length = 9\nexample = "Hi"\n'
        )

    declare("word")
    app = create_app(replace(settings, development=True, templates=tmp_path))
    client = app.test_client()
    first = client.get("/openapi.json")
    (folder / "template.html").write_text("<div>{{ other_word }}</div>")
    declare("other_word")

    second = client.get("/openapi.json")

    app.extensions["mimeo"].close()
    assert "Own.word" in first.json["components"]["parameters"]
    assert "Own.other_word" in second.json["components"]["parameters"]
    assert first.headers["ETag"] != second.headers["ETag"]
