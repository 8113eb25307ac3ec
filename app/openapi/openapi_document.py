"""The OpenAPI document of this server: its renderers, within its limits.

By hand, because the renderers are known at run time: pydantic writes JSON Schema of
2020-12, which is what OpenAPI 3.1 takes (docs/decisions/openapi.md).
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import Any

import orjson

from app.collection.ingest.upload import DELIVERY
from app.config import Settings
from app.openapi import responses, schemas
from app.openapi.operations import (
    LATER,
    TAGS,
    Operation,
    image_content,
    job,
    json_body,
    operations,
    parameters,
)
from app.openapi.renderer_paths import RendererPaths, paths_of
from app.openapi.responses import PROBLEM, answer
from app.openapi.schemas import ANYTHING, FILE, OPTIONS, TEXT, Schema, array, ref
from app.renderer.catalogue import Catalogue

_ABOUT = """\
One URL, one picture. Equal parameters give equal bytes, whichever way they are sent.

- What has no effect or no meaning is refused, and `errors` names each field at fault.
  Schemas say what holds of one field; what holds of several at a time, such as the
  pixels of width by height, is a `422` with the limit.
- Every route answers `OPTIONS` with `204` and `Allow`, and pages of every origin may
  send to it; other methods than those below are `405`.
- Names that others append to links (`utm_*`, `fbclid`, ...) count for nothing.
- `X-Request-ID` is taken over into the log, and every answer has one.

The rest is prose: see the HTTP reference in the documentation."""
_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "mim_<id>_<secret>",
        "description": "A key that `mimeo key new` printed.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key.",
    },
    "signature": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "Of path and query, behind `expires` and `key`: a signed URL.",
    },
}
# Whoever may do this in which mode, as app.access.policy has it.
_SIGNED = ("draw", "read")
_KEYED = ("keep", "jobs")


class Documents:
    """Keeps the document as long as the renderers are the same."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._guard = Lock()
        self._made: tuple[object, bytes] | None = None

    def read(self) -> bytes:
        """Return the document of the renderers that there are now, as JSON."""
        # Renderers are equal by identity: a template that is read anew is another.
        renderers = self._catalogue.renderers()
        with self._guard:
            if self._made is None or self._made[0] != renderers:
                data = orjson.dumps(build(self._catalogue, self._settings))
                self._made = renderers, data
            return self._made[1]


def build(catalogue: Catalogue, settings: Settings) -> dict[str, Any]:
    """Return the document of a catalogue under some settings."""
    found = paths_of(catalogue.renderers(), settings)
    rows = [*_drawing(found), *operations()]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mimeo",
            "version": _release(),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": _ABOUT,
        },
        "servers": [{"url": settings.public_url or "/"}],
        "tags": [{"name": n, "description": text} for n, text in TAGS.items()],
        "paths": _paths(rows, settings),
        "components": {
            "schemas": {
                **schemas.build(),
                "CollectionRequest": _collection(found),
                **dict(_pairs(each.components() for each in found)),
            },
            "parameters": {
                **parameters(),
                **dict(_pairs(each.queries() for each in found)),
            },
            "headers": responses.header_components(),
            "responses": _responses(found, settings),
            "securitySchemes": _SECURITY,
        },
    }


def _pairs(
    several: Iterable[Iterable[tuple[str, Schema]]],
) -> Iterator[tuple[str, Schema]]:
    for each in several:
        yield from each


def _release() -> str:
    try:
        return version("mimeo")
    except PackageNotFoundError:
        # A checkout, of which only the requirements are installed.
        return "unknown"


def _drawing(found: Iterable[RendererPaths]) -> Iterator[Operation]:
    """Yield the operations of single images."""
    found = list(found)
    examples = {each.renderer.name: each.values() for each in found}
    bodies = {
        name: {"renderer": name, "params": values} for name, values in examples.items()
    }
    yield Operation(
        *("post", "/images", "postImage", "Draw one image by any renderer", "Images"),
        *("draw", "DrawOfBody"),
        {
            "200": {"$ref": "#/components/responses/Image"},
            "206": {"$ref": "#/components/responses/Part"},
            "304": {"$ref": "#/components/responses/NotModified"},
            "202": job("It is a job."),
        },
        ("v", "download", *LATER),
        json_body({"oneOf": [each.envelope() for each in found]}, **bodies),
    )
    for each in found:
        yield from each.operations()


def _collection(found: Iterable[RendererPaths]) -> Schema:
    """Return the schema of a collection as JSON."""
    names = [each.renderer.name for each in found]
    return {
        "type": "object",
        "properties": {
            "renderer": {"enum": names, "description": "What draws the items."},
            "name": {**TEXT, "description": "Pattern of file names."},
            "names": schemas.choice("ascii", "unicode"),
            "bad_rows": schemas.choice("refuse", "skip"),
            "defaults": {
                **ANYTHING,
                "description": "Parameters that all items share.",
            },
            "bind": {
                **{"type": "object", "additionalProperties": TEXT},
                "description": "What parameters are made of.",
            },
            "items": {
                **array(ANYTHING),
                "description": "Parameters each; with `params`, an item of its own.",
            },
            **OPTIONS,
            **dict(
                zip(
                    DELIVERY,
                    (ref("SheetOptions"), {"type": "string", "format": "uri"}),
                    strict=True,
                )
            ),
        },
        "required": ["items"],
        "additionalProperties": False,
    }


def _paths(rows: Iterable[Operation], settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        item = found.setdefault(row.path, {})
        item[row.method] = _described(row, settings)
        if row.method == "get":
            item["head"] = _head(row, item["get"])
    return found


def _described(row: Operation, settings: Settings) -> dict[str, Any]:
    own = dict(row.answers)
    for status, failure in responses.failures(
        row.group, settings.gateway_status
    ).items():
        if status not in own:
            own[status] = failure
        else:
            # An answer of its own, and problems, with one status.
            content = {**own[status]["content"], PROBLEM: {"schema": ref("Problem")}}
            own[status] = {**own[status], "content": content}
    return {
        "operationId": row.id,
        "summary": row.summary,
        "tags": [row.tag],
        **({"description": row.description} if row.description else {}),
        "parameters": [
            {"$ref": f"#/components/parameters/{name}"}
            for name in (*row.parameters, "X-Request-ID")
        ],
        **({"requestBody": dict(row.body)} if row.body else {}),
        "responses": dict(sorted(own.items())),
        "security": _security(row.action, settings),
        **row.more,
    }


def _head(row: Operation, get: Mapping[str, Any]) -> dict[str, Any]:
    """Return HEAD of what GET is: the same headers, and nothing else."""
    good = {
        status: _headless(each)
        for status, each in row.answers.items()
        # Ranges are for GET alone (RFC 9110, section 14.2).
        if status not in ("206", "503")
    }
    error = {"$ref": "#/components/responses/HeadError"}
    return {
        **{name: get[name] for name in ("summary", "parameters", "security")},
        "operationId": f"{row.id}Head",
        "tags": ["HEAD"],
        "responses": {**good, "4XX": error, "5XX": error},
    }


def _headless(each: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer without its body."""
    if "$ref" not in each:
        return {"description": each["description"], "headers": each["headers"]}
    name = each["$ref"].rpartition("/")[2]
    bare = name if name == "NotModified" else "ImageHead"
    return {"$ref": f"#/components/responses/{bare}"}


def _security(action: str, settings: Settings) -> list[dict[str, list[str]]]:
    """Return who may do this: anyone, or whoever has a key or a signature."""
    action, _, renderer = action.partition(":")
    scopes = {
        "draw": f"draw:{renderer or '*'}",
        "keep": "draw:*",
        "administer": "admin",
    }
    scope = [scopes.get(action, action)]
    if action == "media":
        return [{"signature": []}]
    if action == "look":
        return [{}]
    keyed: list[dict[str, list[str]]] = [{"bearer": scope}, {"key": scope}]
    if action in _SIGNED:
        keyed.append({"signature": []})
    anyone = settings.access == "open" and action in (*_SIGNED, *_KEYED)
    return [{}, *keyed] if anyone else keyed


def _responses(found: Iterable[RendererPaths], settings: Settings) -> dict[str, Schema]:
    return {
        "Image": answer("The image.", image_content(), responses.IMAGE),
        "ImageHead": answer("The image's headers.", named=responses.IMAGE),
        "Part": answer(
            "The bytes that were asked for.",
            {"*/*": FILE},
            ("Content-Range", *responses.IMAGE),
        ),
        "NotModified": answer(
            "The copy that is at hand is right.",
            named=("Vary", "X-Ignored-Parameters", "X-Stale-Pin", *responses.PAGE),
        ),
        "HeadError": answer("What GET would answer, without its body."),
        **dict(_pairs(each.answers() for each in found)),
        **responses.failure_components(settings.gateway_status),
    }
