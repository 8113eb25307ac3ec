"""The operations of single renderers: one path each, with its own parameters."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from app.config import Settings
from app.openapi import responses
from app.openapi.operations import (
    LATER,
    Operation,
    image_content,
    job,
    json_body,
    query,
)
from app.openapi.responses import answer
from app.openapi.schemas import (
    BASE64,
    FILE,
    OPTIONS,
    TEXT,
    WEBHOOK,
    Schema,
    choice,
    ref,
    with_colors,
    without_null,
)
from app.renderer.base import Renderer
from app.renderer.encode import EXTENSIONS
from app.renderer.params import length_fields
from app.renderer.produce import formats, image_fields, text_fields

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
# A length as app.renderer.paper reads it, in the regular expressions of ECMA-262.
_LENGTH = r"^([0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9})(mm|cm|in|pt)$|^[0-9]{1,9}px$"
_SIDES = ("width", "height", "size")
_DELIVERY = ("v", "download")
_RANGES = ("If-None-Match", "If-Match", "Range", "If-Range")


@dataclass(frozen=True, slots=True)
class RendererPaths:
    """What a document says of one renderer; `name` is what its schemas are called.

    `parameters` are JSON Schemas by name, `schemas` whatever they refer to.
    """

    renderer: Renderer
    name: str
    parameters: Mapping[str, Schema]
    required: tuple[str, ...]
    schemas: Mapping[str, Schema]

    def components(self) -> Iterator[tuple[str, Schema]]:
        """Yield the schemas of the parameters, and of bodies with the options."""
        yield from self.schemas.items()
        yield self.name, self._object(self.parameters)
        options = {name: OPTIONS[name] for name in self._options()}
        rest = {name: row for name, row in options.items() if name != "format"}
        own = {"webhook": WEBHOOK, **self.parameters}
        yield f"{self.name}Body", self._object({**rest, **own})
        yield f"{self.name}BodyWithFormat", self._object({**options, **own})

    def queries(self) -> Iterator[tuple[str, Schema]]:
        """Yield the parameters as a query has them, by the names of components."""
        for name, row in self.parameters.items():
            required = {"required": True} if name in self.required else {}
            given = self.renderer.example.get(name)
            example = {} if given is None else {"example": self._typed(name)}
            yield (
                f"{self.name}.{name}",
                query(name, _in_text(row), **required, **example),
            )
        yield (
            f"{self.name}.format",
            {
                **{"name": "format", "in": "path", "required": True},
                **{"schema": choice(*self._endings()), "example": "png"},
            },
        )

    def operations(self) -> Iterator[Operation]:
        """Yield GET and POST, with the format in the path and without."""
        title, name = self.renderer.title, self.renderer.name
        own = tuple(f"{self.name}.{each}" for each in self.parameters)
        options = self._options()
        chosen = tuple(f"option.{each}" for each in options)
        rest = tuple(f"option.{each}" for each in options if each != "format")
        drawn = self._drawn()
        for path, id, given, body in (
            (f"/images/{name}.{{format}}", self.name, rest, "Body"),
            (f"/images/{name}", f"{self.name}ByAccept", chosen, "BodyWithFormat"),
        ):
            place = (f"{self.name}.format",) if body == "Body" else ()
            yield Operation(
                *("get", path, f"draw{id}", title, "Images", f"draw:{name}", "Draw"),
                drawn,
                (*place, *own, *given, *_DELIVERY, *_RANGES),
                more={"x-codeSamples": [self._sample()]},
            )
            yield Operation(
                *("post", path, f"post{id}", title, "Images", f"draw:{name}"),
                "DrawOfBody",
                {**drawn, "202": job("It is a job.")},
                (*place, *_DELIVERY, *LATER),
                self._body(body),
            )

    def envelope(self) -> Schema:
        """Return the schema of `POST /images` for this renderer."""
        options = {name: OPTIONS[name] for name in self._options(all=True)}
        return {
            "type": "object",
            "properties": {
                "renderer": {"const": self.renderer.name},
                "params": ref(self.name),
                "webhook": WEBHOOK,
                **options,
            },
            "required": ["renderer", *(["params"] if self.required else [])],
            "additionalProperties": False,
        }

    def values(self) -> dict[str, Any]:
        """Return the example's parameters, in JSON's own types."""
        return {name: self._typed(name) for name in self.renderer.example}

    def _object(self, properties: Mapping[str, Schema]) -> Schema:
        required = {"required": list(self.required)} if self.required else {}
        return {
            "type": "object",
            "title": self.renderer.title,
            "properties": dict(properties),
            **required,
            "additionalProperties": False,
        }

    def _options(self, *, all: bool = False) -> tuple[str, ...]:
        """Name the options that this renderer's images can have."""
        renderer = self.renderer
        none = {
            *(() if all else self.parameters),
            *(() if renderer.bled else ("bleed",)),
            *(() if "ico" in formats(renderer) else ("sizes",)),
            *(() if renderer.remote is None else ("scale",)),
        }
        return tuple(name for name in OPTIONS if name not in none)

    def _endings(self) -> list[str]:
        known = formats(self.renderer)
        return [ending for ending, name in EXTENSIONS.items() if name in known]

    def answers(self) -> Iterator[tuple[str, Schema]]:
        """Yield the answer with an image in any of the formats, by name."""
        kinds = image_content(tuple(formats(self.renderer)))
        yield self._answer(), answer("The image.", kinds, responses.IMAGE)

    def _answer(self) -> str:
        # Most renderers have one of two sets of formats.
        return "-".join(("Image", *formats(self.renderer)))

    def _drawn(self) -> dict[str, Any]:
        return {
            "200": {"$ref": f"#/components/responses/{self._answer()}"},
            "206": {"$ref": "#/components/responses/Part"},
            "304": {"$ref": "#/components/responses/NotModified"},
        }

    def _body(self, kind: str) -> dict[str, Any]:
        """Return the body of a POST, in all its media types."""
        made = json_body(ref(f"{self.name}{kind}"), example=self.values())
        options = {name: OPTIONS[name] for name in self._options()}
        if kind == "Body":
            options.pop("format")
        texts = {name: _in_text(row) for name, row in self.parameters.items()}
        files = {
            name: FILE for name in image_fields(self.renderer.parameters) & texts.keys()
        }
        made["content"][_FORM] = {"schema": self._object({**options, **texts})}
        made["content"][_MULTIPART] = {
            "schema": self._object({**options, **texts, **files})
        }
        if "html" in self.parameters:
            made["content"]["text/html"] = {"schema": TEXT}
        # Without required parameters an empty body is the example's absence.
        return {**made, "required": bool(self.required)}

    def _typed(self, name: str) -> Any:
        given = self.renderer.example[name]
        if name in image_fields(self.renderer.parameters):
            return given
        model = self.renderer.parameters
        made = model.model_validate_strings(dict(self.renderer.example))
        return made.model_dump(mode="json", include={name})[name]

    def _sample(self) -> dict[str, str]:
        url = f"/images/{self.renderer.name}.png?{urlencode(self.renderer.example)}"
        return {"lang": "Shell", "source": f"curl -o image.png '$MIMEO{url}'"}


def paths_of(renderers: Iterable[Renderer], settings: Settings) -> list[RendererPaths]:
    """Return what a document says of each renderer, within a server's limits."""
    found: dict[str, RendererPaths] = {}
    for renderer in renderers:
        name = _name(renderer.name, found)
        template = f"#/components/schemas/{name}.{{model}}"
        schema = renderer.parameters.model_json_schema(ref_template=template)
        inner = {f"{name}.{each}": row for each, row in schema.pop("$defs", {}).items()}
        rows = {
            each: _bounded(renderer, each, row, settings)
            for each, row in schema.get("properties", {}).items()
        }
        required = tuple(schema.get("required", ()))
        found[name] = RendererPaths(renderer, name, rows, required, inner)
    return list(found.values())


def _name(name: str, taken: Iterable[str]) -> str:
    """Return a renderer's name as schemas have it: `address-label`, AddressLabel."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    made = "".join(word[:1].upper() + word[1:] for word in words)
    # `a-b` and `a.b` are two renderers.
    while made in taken:
        made += "_"
    return made


def _bounded(
    renderer: Renderer, name: str, schema: Schema, settings: Settings
) -> Schema:
    """Return a parameter's schema with the bounds that this server has."""
    row = with_colors(schema)
    model = renderer.parameters
    if name in image_fields(model):
        text = "An image: base64, a `data:` URI, or a URL where those are allowed."
        said = row.get("description")
        return {**BASE64, "description": f"{said} {text}" if said else text}
    if name in length_fields(model):
        return _length(row, settings.max_side if name in _SIDES else None)
    isolated = renderer.isolated or renderer.prompted
    if name in text_fields(model) and not isolated:
        kinds = row.get("anyOf", [row])
        for each in kinds:
            if each.get("type") == "string":
                each.setdefault("maxLength", settings.max_text_chars)
    return row


def _length(row: Schema, most: int | None) -> Schema:
    """Return the schema of pixels, or of a length with its unit."""
    kinds = row.get("anyOf")
    whole: Schema = {"type": "integer"}
    for each in kinds or [row]:
        whole |= {n: each[n] for n in ("minimum", "maximum") if n in each}
    if most is not None:
        whole["maximum"] = min(most, whole.get("maximum", most))
    rest = {n: v for n, v in row.items() if n not in ("type", "anyOf", *whole)}
    empty = [{"type": "null"}] if kinds else []
    length = {"type": "string", "pattern": _LENGTH}
    return {**rest, "anyOf": [whole, length, *empty]}


def _in_text(row: Schema) -> Schema:
    """Return the schema of a value in a query or form: no null, and tables as text."""
    given = without_null(row)
    texts = [each for each in given.get("anyOf", ()) if each.get("type") != "array"]
    if len(texts) == len(given.get("anyOf", ())):
        return given
    # Its examples are rows.
    return {**texts[0], "description": given.get("description", "")}
