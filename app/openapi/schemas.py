"""JSON Schemas of answers, and of bodies that no renderer decides (2020-12)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from PIL import ImageColor
from pydantic import BaseModel

from app.collection.export.exports import FORMS
from app.collection.export.print_sheet import PrintOptions
from app.dialects import openai, webui
from app.renderer.base import Output
from app.renderer.color_functions import PATTERN as COLOR_FUNCTIONS
from app.renderer.encode import EXTENSIONS
from app.renderer.template.template_preview import LENGTHS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
PATH: Schema = {"type": "string", "format": "uri-reference"}
# As generators of clients know them: JSON Schema's own words name no type.
FILE: Schema = {"type": "string", "format": "binary"}
BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
WEBHOOK: Schema = {
    **{"type": "string", "format": "uri"},
    "description": "URL where the end of a job is told.",
}
ANYTHING: Schema = {"type": "object", "additionalProperties": True}
_HEX = "^#?([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$"
STATES = ("queued", "running", "cancelling", "succeeded", "failed", "cancelled")
BATCH_STATES = ("validating", "in_progress", "cancelling", "cancelled")


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def maybe(schema: Schema) -> Schema:
    """Return the schema of a value, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def choice(*values: str) -> Schema:
    """Return the schema of one of several words."""
    return {"type": "string", "enum": list(values)}


def record(*optional: str, **members: Schema) -> Schema:
    """Return the schema of an object; all of its members are there but `optional`."""
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": members, "required": required}


def titled(schema: Schema, description: str) -> Schema:
    """Return a schema with a sentence about it."""
    return {**schema, "description": description}


def of_model(model: type[BaseModel], *left_out: str) -> Schema:
    """Return the properties of a model, apart from some."""
    properties: Schema = model.model_json_schema()["properties"]
    return {name: row for name, row in properties.items() if name not in left_out}


def without_null(schema: Schema) -> Schema:
    """Return the schema of a value that is there, as queries and forms have them."""
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    rest = {
        name: value
        for name, value in schema.items()
        if name not in ("anyOf", "title") and not (name == "default" and value is None)
    }
    if len(kinds) == 1:
        return {**kinds[0], **rest}
    return {**rest, "anyOf": kinds} if kinds else rest


def with_colors(schema: Schema) -> Schema:
    """Return a schema in which each colour refers to the schema of all of them."""
    if schema.get("format") == "color":
        rest = {
            name: value
            for name, value in schema.items()
            if name not in ("type", "format", "maxLength")
        }
        return {**ref("Color"), **rest}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*map(with_colors, schema["anyOf"])]}
    return schema


# The options of an image's encoding, by their names in a query.
FORMAT = titled(choice(*EXTENSIONS), "Name of the file format.")
OPTIONS: Mapping[str, Schema] = MappingProxyType(
    {
        **{
            name: with_colors(without_null(row))
            for name, row in of_model(Output, "format").items()
        },
        "format": FORMAT,
    }
)
_FACTS = titled(
    ANYTHING, "What is known of the image beside its bytes, such as `missing_glyphs`."
)
_FAULT = record(field=TEXT, reason=TEXT)
_ROW_FAULT = record(row=maybe(WHOLE), line=maybe(WHOLE), field=maybe(TEXT), reason=TEXT)
# Members of problems that stand for something of their own class alone.
_MORE: Schema = {
    "field": titled(TEXT, "The field at fault; of several the first."),
    "errors": titled(array(_FAULT), "Every field at fault, with its reason."),
    "rows": titled(array(_ROW_FAULT), "Rows of a table that are at fault."),
    "more": titled(WHOLE, "How many faults are not listed."),
    "limit": titled(
        {"type": ["string", "number"]},
        "The setting that bounds this; of what is used up, how much that is.",
    ),
    "allowed": titled({}, "What the limit allows."),
    "value": titled({}, "What was asked for."),
    "known": titled(array(TEXT), "Names that are known."),
    "file": TEXT,
    "line": maybe(WHOLE),
    "current": titled(TEXT, "The fingerprint or id that the request has now."),
    "index": titled(WHOLE, "The number of the image, from 1."),
    "count": WHOLE,
    "upstream": titled(TEXT, "The service that was asked."),
    "hop": {},
    "upstream_status": maybe(WHOLE),
    "outcome_unknown": titled(TRUTH, "Whether the service may have been paid."),
    "state": titled(TEXT, "The state that the job is in."),
    "scope": titled(TEXT, "The scope that a key needs."),
    "help": titled(TEXT, "Where to look, or the setting that opens this."),
    "host": TEXT,
    "filtered": titled(TRUTH, "Whether the service's filter kept the image back."),
    "needed_by": titled(TEXT, "The job that still takes over what this one made."),
    "remaining": NUMBER,
    "unit": TEXT,
}
_IMAGE = {
    "media_type": TEXT,
    "width": WHOLE,
    "height": WHOLE,
    "sha256": SHA256,
    "fingerprint": {"type": "string"},
    "facts": _FACTS,
}
_PAPER = record(width_mm=NUMBER, height_mm=NUMBER, bleed_mm=NUMBER, dpi=maybe(NUMBER))
_BROKEN = record(name=TEXT, file=TEXT, line=maybe(WHOLE), reason=TEXT)
_SUMMARY = {
    "name": TEXT,
    "title": TEXT,
    "service": titled(TRUTH, "Whether a service elsewhere makes the images."),
    "saved": titled(TRUTH, "Whether it is a template that was saved over HTTP."),
    "formats": array(TEXT),
    "paper": maybe(_PAPER),
    "example": titled(PATH, "A URL that draws the renderer's example."),
    "url": PATH,
}
_FILES: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "minProperties": 1,
}
_FIT = record(text=TEXT, size=WHOLE, lines=WHOLE, height=NUMBER, clipped=TEXT)
_PREVIEW = record(
    *("problem", "media_type", "width", "height", "facts", "data"),
    length=choice(*LENGTHS),
    values=titled({"type": "object", "additionalProperties": TEXT}, "What is sent."),
    fits=titled(array(_FIT), "What `fit` found for each text."),
    outside=titled(array(TEXT), "Lines of text that reach out of the picture."),
    problem=titled(ref("Problem"), "Why there is no image."),
    media_type=TEXT,
    width=WHOLE,
    height=WHOLE,
    facts=_FACTS,
    data=BASE64,
)
_ABSENT = record(reason=TEXT, filtered=TRUTH)
_AFFECTED = record(count=WHOLE, first=array(WHOLE))
_COLLECTION = {
    "id": SHA256,
    "count": WHOLE,
    "renderers": array(TEXT),
    "format": TEXT,
    "output": ANYTHING,
    "pixels": WHOLE,
    "links": record(
        **{"self": PATH, "image": TEXT, "sheet": PATH},
        **dict.fromkeys(FORMS, PATH),
    ),
    "facts": _FACTS,
    "affected": {"type": "object", "additionalProperties": _AFFECTED},
    "warnings": array(TEXT),
}
_BATCH_TIMES = (
    *("in_progress_at", "cancelling_at", "completed_at", "failed_at", "cancelled_at"),
    *("expires_at", "expired_at", "finalizing_at"),
)
_BATCH_FAULT = record(code=TEXT, line=maybe(WHOLE), message=TEXT, param=maybe(TEXT))
_OPENAI_TOLD = {
    "revised_prompt": TEXT,
    "seed": {},
    "finish_reason": TEXT,
    "repairs": array(TEXT),
    "warnings": array(TEXT),
}
_ERROR_TYPES = ("invalid_request_error", "rate_limit_error", "server_error")


def _page(items: Schema) -> Schema:
    """Return the schema of a page of a list in OpenAI's dialect."""
    return record(
        object={"const": "list"},
        data=array(items),
        first_id=maybe(TEXT),
        last_id=maybe(TEXT),
        has_more=TRUTH,
    )


def sheet_options() -> Schema:
    """Return the schema of a print sheet's options, all of which may be texts."""
    return {
        "type": "object",
        "properties": {
            name: without_null(row) for name, row in of_model(PrintOptions).items()
        },
        "additionalProperties": False,
    }


def openai_request(*left_out: str) -> Schema:
    """Return the schema of what makes images in OpenAI's dialect."""
    schema = openai.request_schema()
    for name in left_out:
        schema["properties"].pop(name)
    return schema


def build() -> dict[str, Schema]:
    """Return the schemas that no renderer decides, by name."""
    return {
        "Problem": {
            **record(
                *_MORE,
                **{
                    "type": titled(PATH, "The type of the problem; see `/problems`."),
                    "title": TEXT,
                    "status": {"type": "integer", "minimum": 400, "maximum": 599},
                    "detail": titled(TEXT, "What is wrong, for people."),
                    "instance": titled(TEXT, "The path that was asked for."),
                    "request_id": titled(TEXT, "What the server's log calls it."),
                },
                **_MORE,
            ),
            "description": "An error (RFC 9457).",
        },
        "OpenAIError": record(
            error=record(
                message=TEXT,
                type=choice(*_ERROR_TYPES),
                param=maybe(TEXT),
                code=TEXT,
            )
        ),
        "ImageDocument": titled(
            record(
                *("renderer", "format", "url"),
                renderer=TEXT,
                format=TEXT,
                url=titled(PATH, "The URL that pins these bytes, if it has one."),
                **_IMAGE,
                data=BASE64,
            ),
            "An image as base64, and what is known of it.",
        ),
        "RendererSummary": record(**_SUMMARY),
        "RendererDescription": record(
            **_SUMMARY,
            parameters=titled(ANYTHING, "JSON Schema of the parameters."),
            output=titled(ANYTHING, "JSON Schema of the options."),
            limits=record(max_side=WHOLE, max_pixels=WHOLE, max_text_chars=WHOLE),
        ),
        "Renderers": record(
            renderers=array(ref("RendererSummary")), broken=array(_BROKEN)
        ),
        "Fonts": record(
            fonts=array(
                record(
                    name=TEXT,
                    source=TEXT,
                    styles=array(TEXT),
                    weights=array(WHOLE),
                    variable=TRUTH,
                    scripts=array(TEXT),
                    licence=maybe(TEXT),
                    specimen=PATH,
                )
            ),
            artwork=array(ANYTHING),
        ),
        "Templates": record(
            editing=titled(TRUTH, "Whether templates can be saved here."),
            templates=array(
                record(
                    version=titled(maybe(WHOLE), "The newest one of a saved template."),
                    name=TEXT,
                    own=titled(TRUTH, "Whether it is no packaged one."),
                    url=PATH,
                )
            ),
        ),
        "SavedTemplate": record(
            *("version", "renderer"),
            name=TEXT,
            version=titled(WHOLE, "Which one it is, of a saved template."),
            renderer=titled(TEXT, "The renderer's name that pins this version."),
            files=titled(_FILES, "Its files: two texts, and pictures as base64."),
        ),
        "TemplateFiles": record(
            "name",
            name=titled(TEXT, "What its folder is called."),
            files=titled(_FILES, "Its files: two texts, and pictures as base64."),
        ),
        "TemplatePreviewRequest": record(
            *("name", "lengths", "outlines"),
            name=titled(TEXT, "What its folder is called."),
            files=titled(_FILES, "Its files: two texts, and pictures as base64."),
            lengths=array(choice(*LENGTHS)),
            outlines=titled(TRUTH, "Whether boxes are outlined."),
        ),
        "TemplatePreview": record(
            title=TEXT,
            width=WHOLE,
            height=WHOLE,
            parameters=titled(ANYTHING, "JSON Schema of the parameters."),
            previews=array(_PREVIEW),
        ),
        "ProblemType": record(type=PATH, status=WHOLE, title=TEXT),
        "ProblemTypes": record(problems=array(ref("ProblemType"))),
        "Live": record(status={"const": "live"}),
        "Ready": record(
            *("store", "broken", "version", "client"),
            status=choice("ready", "degraded", "draining", "unready"),
            store=TEXT,
            broken=array(TEXT),
            version=TEXT,
            client=TEXT,
        ),
        "InferenceRequest": {
            **record(
                *("renderer", "n", "seed", "width", "height", "webhook", *OPTIONS),
                prompt=titled(TEXT, "What the images show."),
                webhook=WEBHOOK,
                renderer=titled(TEXT, "What makes them; else the default."),
                n=titled(WHOLE | {"minimum": 1}, "How many."),
                seed=titled({"type": "integer"}, "Decides what chance would."),
                width=WHOLE,
                height=WHOLE,
                **OPTIONS,
            ),
            "additionalProperties": titled({}, "Other parameters of the renderer."),
        },
        "Inference": record(
            *("images", "missing"),
            image_base64=BASE64,
            metadata=ref("InferenceMetadata"),
            images=array(
                record(image_base64=BASE64, metadata=ref("InferenceMetadata"))
            ),
            missing=array(_ABSENT),
        ),
        "InferenceMetadata": record(
            renderer=TEXT, media_type=TEXT, width=WHOLE, height=WHOLE, sha256=SHA256
        ),
        "ImagesRequest": openai_request(),
        "Color": {
            "anyOf": [
                {"type": "string", "pattern": _HEX},
                {"enum": ["transparent", *ImageColor.colormap]},
                {"type": "string", "pattern": COLOR_FUNCTIONS, "maxLength": 80},
            ],
            "description": "`RRGGBB`, with alpha `RRGGBBAA`, short or long, with or"
            " without `#`; a name of CSS; or `rgb()`, `hsl()` or `hwb()` with commas or"
            " blanks, as `rgb(180, 20, 60)` or `hsl(345deg 80% 39% / 50%)`.",
        },
        "ImagesOfImageRequest": {
            **(edit := openai_request()),
            "properties": {
                **edit["properties"],
                "images": {
                    **array(record(image_url=TEXT)),
                    **{"minItems": 1, "maxItems": 1},
                    "description": "One image, as a `data:` URI.",
                },
            },
        },
        "Images": record(
            *("missing", "warnings"),
            created=WHOLE,
            data=array(
                record(
                    *("b64_json", "url", "expires_at", *_OPENAI_TOLD),
                    b64_json=BASE64,
                    url={"type": "string", "format": "uri"},
                    expires_at=WHOLE,
                    **_OPENAI_TOLD,
                )
            ),
            output_format=TEXT,
            size=TEXT,
            missing=array(_ABSENT),
            warnings=array(TEXT),
        ),
        "Model": record(
            id=TEXT, object={"const": "model"}, created=WHOLE, owned_by=TEXT
        ),
        "WebUIRequest": dict(webui.REQUEST_SCHEMA),
        "WebUIImages": record(
            images=array(BASE64), parameters={"type": "object"}, info=TEXT
        ),
        "WebUIList": array({"type": "object"}),
        "WebUIOptions": {"type": "object"},
        "Models": record(object={"const": "list"}, data=array(ref("Model"))),
        "File": record(
            id=TEXT,
            object={"const": "file"},
            bytes=WHOLE,
            created_at=WHOLE,
            expires_at=WHOLE,
            filename=TEXT,
            purpose=choice("batch", "batch_output"),
            status={"const": "processed"},
            status_details=maybe(TEXT),
        ),
        "Files": _page(ref("File")),
        "DeletedFile": record(id=TEXT, object={"const": "file"}, deleted=TRUTH),
        "BatchRequest": {
            **record(
                "metadata",
                input_file_id=TEXT,
                endpoint={"const": "/v1/images/generations"},
                completion_window={"const": "24h"},
                metadata=maybe(
                    {
                        "type": "object",
                        "maxProperties": 16,
                        "propertyNames": {"maxLength": 64},
                        "additionalProperties": {"type": "string", "maxLength": 512},
                    }
                ),
            ),
            "additionalProperties": False,
        },
        "Batch": record(
            id=TEXT,
            object={"const": "batch"},
            endpoint=TEXT,
            errors=maybe(record(object={"const": "list"}, data=array(_BATCH_FAULT))),
            input_file_id=TEXT,
            completion_window=TEXT,
            status=choice(*BATCH_STATES, "completed", "failed"),
            output_file_id=maybe(TEXT),
            error_file_id=maybe(TEXT),
            created_at=WHOLE,
            **dict.fromkeys(_BATCH_TIMES, maybe(WHOLE)),
            request_counts=record(total=WHOLE, completed=WHOLE, failed=WHOLE),
            metadata=maybe({"type": "object", "additionalProperties": TEXT}),
        ),
        "Batches": _page(ref("Batch")),
        "Collection": record("facts", "affected", "warnings", **_COLLECTION),
        "Preview": record(
            count=WHOLE,
            faults=array(_ROW_FAULT),
            more=WHOLE,
            left_out=record(count=WHOLE, faults=array(_ROW_FAULT), more=WHOLE),
            warnings=array(TEXT),
            columns=array(TEXT),
            records=array(record(row=WHOLE, line=maybe(WHOLE), cells=array(TEXT))),
            rows=array(
                record(
                    *("error", "data", *_IMAGE),
                    row=WHOLE,
                    line=maybe(WHOLE),
                    why=choice("longest", "emptiest", "widest"),
                    error=TEXT,
                    **_IMAGE,
                    data=BASE64,
                )
            ),
        ),
        "CollectionImages": record(
            id=SHA256, count=WHOLE, images=array(ref("CollectionImage")), failed=WHOLE
        ),
        "CollectionImage": titled(
            record(
                *("error", "data", *_IMAGE),
                index=WHOLE,
                name=TEXT,
                error=ANYTHING,
                **_IMAGE,
                data=BASE64,
            ),
            "An image of a collection, or the problem that stands in its place.",
        ),
        "Manifest": record(
            collection=SHA256,
            count=WHOLE,
            images=array(
                record(
                    *("facts",),
                    index=WHOLE,
                    name=TEXT,
                    media_type=TEXT,
                    width=WHOLE,
                    height=WHOLE,
                    size=WHOLE,
                    crc32=WHOLE,
                    sha256=SHA256,
                    facts=_FACTS,
                )
            ),
            errors=array(ANYTHING),
        ),
        "Job": record(
            id=SHA256,
            state=choice(*STATES),
            counts=record(total=WHOLE, done=WHOLE, failed=WHOLE),
            form=TEXT,
            format=TEXT,
            bytes=maybe(WHOLE),
            attempts=maybe(
                record(chunks=WHOLE, begun=WHOLE, left=WHOLE, duplicates=WHOLE)
            ),
            created=MOMENT,
            started=maybe(MOMENT),
            cancelled=maybe(MOMENT),
            finished=maybe(MOMENT),
            expires=maybe(MOMENT),
            error=maybe(ANYTHING),
            retry_of=maybe(SHA256),
            links=record(
                "answer",
                **{"self": PATH},
                cancel=PATH,
                retry=PATH,
                purge=PATH,
                archive=PATH,
                manifest=PATH,
                errors=PATH,
                deliveries=PATH,
                answer=titled(PATH, "What a request for one image asked for."),
            ),
        ),
        "Jobs": record(jobs=array(ref("Job")), next=maybe(PATH)),
        "Deliveries": record(
            deliveries=array(
                record(
                    attempt=WHOLE,
                    started_at=MOMENT,
                    duration_s=NUMBER,
                    result=TEXT,
                    status=maybe(TEXT),
                    next_at=maybe(MOMENT),
                )
            )
        ),
        "SheetOptions": sheet_options(),
    }
