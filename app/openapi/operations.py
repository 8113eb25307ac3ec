"""Every operation that no renderer decides, in one table.

A test holds it against the routes: one that has no row here fails.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from app.collection.export.exports import FORMS, ExportOptions, Motion
from app.collection.export.print_sheet import NAME as SHEET
from app.collection.export.print_sheet import PrintOptions
from app.collection.ingest.upload import READERS
from app.openapi import responses, schemas
from app.openapi.responses import JSON, answer
from app.openapi.schemas import (
    FILE,
    OPTIONS,
    SHA256,
    TEXT,
    WEBHOOK,
    Schema,
    choice,
    of_model,
    ref,
    titled,
    without_null,
)
from app.renderer.contact_sheet import SheetParameters
from app.renderer.encode import EXTENSIONS, FORMATS

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_HTML = "text/html; charset=utf-8"
# A schema of a stream is of each of its events for some, of all its text for others.
_STREAM: Mapping[str, Any] = MappingProxyType(
    {"text/event-stream": {"description": "Server-sent events (HTML, 9.2)."}}
)
_NDJSON = "application/x-ndjson"
_MULTIPART = "multipart/form-data"
_NO_ID = "0" * 64
# Forms of a drawn job that have options of their own, and those of collections.
_EXPORT = tuple(ExportOptions.model_fields)
_MOTION = tuple(Motion.model_fields)
_PRINT = tuple(f"{SHEET}.{name}" for name in PrintOptions.model_fields)
_CONDITIONS = ("If-None-Match", "If-Match")
_RANGES = (*_CONDITIONS, "Range", "If-Range")
# Where the answer may be a job.
LATER = ("Prefer", "job.Idempotency-Key", "webhook")
# Entries of a page: batches, and files.
_MOST_LISTED = (100, 10_000)
TABLE_TYPES = tuple(kind for kind in READERS if kind not in (JSON, _MULTIPART))

# What the sections of the reference are called, and say.
TAGS: Mapping[str, str] = MappingProxyType(
    {
        "Images": "One picture a request.",
        "Prompts": "Images of a prompt; OpenAI's clients among the callers.",
        "Collections": "Rows of a table, as images and in one answer.",
        "Jobs": "Collections that are drawn whether anybody waits or not.",
        "Batches": "Jobs in OpenAI's dialect.",
        "Catalogue": "What can be drawn, with what, and what can fail.",
        "Templates": "For those who write them.",
        "Operation": "For those who run the server.",
        "HEAD": "The headers of what GET answers; nothing is drawn or bought.",
    }
)


class Operation(NamedTuple):
    """A method of a path.

    `action` is what a caller has to be allowed, as the gate has it; `group` names what
    can go wrong; `answers` are those that go well, by status; `parameters` are names
    of components.
    """

    method: str
    path: str
    id: str
    summary: str
    tag: str
    action: str
    group: str
    answers: Mapping[str, Any]
    parameters: tuple[str, ...] = ()
    body: Mapping[str, Any] = _NOTHING
    description: str = ""
    more: Mapping[str, Any] = _NOTHING


def query(name: str, schema: Schema, **more: Any) -> Schema:
    """Return a parameter of the query; its schema's description is its own."""
    return _parameter("query", name, schema, **more)


def _parameter(place: str, name: str, schema: Schema, **more: Any) -> Schema:
    own = {n: value for n, value in schema.items() if n != "description"}
    said = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": place, **said, "schema": own, **more}


def _path(name: str, schema: Schema, example: str | int) -> Schema:
    return _parameter("path", name, schema, required=True, example=example)


def _header(name: str, text: str) -> Schema:
    return _parameter("header", name, {"type": "string", "description": text})


def _named(rows: Mapping[str, Schema]) -> dict[str, Schema]:
    return {name: query(name, row) for name, row in rows.items()}


def _model_queries(model: Any) -> dict[str, Schema]:
    rows = {n: without_null(row) for n, row in of_model(model, SHEET).items()}
    return _named(rows)


def parameters() -> dict[str, Schema]:
    """Return the parameters of all operations, by name."""
    return {name: _without_default(row) for name, row in _parameters().items()}


def _without_default(row: Schema) -> Schema:
    """Say a default in words: clients would send it, also where it is refused."""
    schema = dict(row["schema"])
    default = schema.pop("default", None)
    if default is None:
        return row
    said = f"{row['description']} Left out: {default}."
    return {**row, "schema": schema, "description": said}


def _parameters() -> dict[str, Schema]:
    formats = choice(*EXTENSIONS)
    shared: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        **{
            f"option.{name}": query(
                name, row, **({"example": "card.png"} if name == "download" else {})
            )
            for name, row in OPTIONS.items()
        },
        "v": query(
            "v",
            titled(
                TEXT, "The fingerprint that pins the bytes; else it counts for nothing."
            ),
        ),
        "download": query(
            "download", titled(TEXT, "File name of an attachment."), example="card.png"
        ),
        **{
            name: row
            for name, row in {
                **_model_queries(Motion),
                **_model_queries(SheetParameters),
            }.items()
            if name != "download"
        },
        **{
            f"{SHEET}.{name}": query(f"{SHEET}[{name}]", without_null(row))
            for name, row in of_model(PrintOptions).items()
        },
        "collection": _path("key", titled(SHA256, "The collection's id."), _NO_ID),
        "job": _path("key", titled(SHA256, "The job's id."), _NO_ID),
        "file": _path("id", titled(TEXT, "The file's id."), f"file-{_NO_ID}"),
        "batch": _path("id", titled(TEXT, "The batch's id."), f"batch_{_NO_ID}"),
        "index": _path(
            "index",
            {"type": "integer", "minimum": 1, "description": "Its number, from 1."},
            1,
        ),
        "image-format": _path("format", formats, "png"),
        "sheet-format": _path(
            "format",
            choice(*(n for n, own in EXTENSIONS.items() if own not in ("svg", "ico"))),
            "png",
        ),
        "form": _path("form", choice(*FORMS), "zip"),
        "job-form": query(
            "form",
            {**choice(*FORMS), "default": "zip", "description": "What is made of it."},
        ),
        "renderer": _path("name", titled(TEXT, "The renderer's name."), "card"),
        "template": _path("name", titled(TEXT, "The template's name."), "card"),
        "model": _path("name", titled(TEXT, "The model's id."), "dream"),
        "problem": _path("slug", titled(TEXT, "The type's name."), "busy"),
        "fingerprint": _path("fingerprint", titled(SHA256, "The image's."), _NO_ID),
        "media-format": _path("format", TEXT, "png"),
        "page-file": _path("file", titled(TEXT, "A file of the page."), "studio.css"),
        "docs-file": _path("page", titled(TEXT, "A page."), "how-to/studio.html"),
        "reference-file": _path("file", titled(TEXT, "A file of it."), "start.js"),
        "rows.renderer": query(
            "renderer", titled(TEXT, "What draws the rows; with tables and NDJSON.")
        ),
        "rows.name": query(
            "name",
            titled(TEXT, "Pattern of file names, with a placeholder."),
            example="{index}",
        ),
        "rows.names": query(
            "names", titled(choice("ascii", "unicode"), "The script of file names.")
        ),
        "rows.bad_rows": query(
            "bad_rows",
            titled(choice("refuse", "skip"), "What is done about rows with faults."),
        ),
        "rows.cell": query(
            "cell",
            titled(shared, "What cells hold instead: `cell[4:Column]=text` in line 4."),
            style="deepObject",
            explode=True,
        ),
        "rows.ignore": query(
            "ignore", titled(TEXT, "Columns to pass over, with commas between.")
        ),
        "rows.sheet": query("sheet", titled(TEXT, "The sheet of a workbook.")),
        "rows.bind": query(
            "bind",
            titled(shared, "What parameters are made of: `bind[title]={Column}`."),
            style="deepObject",
            explode=True,
        ),
        "rows.parameters": query(
            "parameters",
            titled(shared, "Parameters that all rows share, by their names."),
            style="form",
            explode=True,
        ),
        "preview": query(
            "preview",
            {
                **{"type": "integer", "minimum": 1, "maximum": 20},
                "description": "Keep nothing; draw so many of the worst rows.",
            },
        ),
        "webhook": query("webhook", WEBHOOK),
        "expires": query(
            "expires", titled({"type": "integer"}, "Until when the URL works.")
        ),
        "key": query("key", titled(TEXT, "The id of the secret that signed.")),
        **{
            f"list.limit.{most}": query(
                "limit",
                {
                    **{"type": "integer", "minimum": 1, "maximum": most},
                    "description": "How many at most.",
                },
            )
            for most in _MOST_LISTED
        },
        "list.after": query("after", titled(TEXT, "The id after which to go on.")),
        "list.order": query(
            "order", {**choice("asc", "desc"), "description": "By time."}
        ),
        "list.purpose": query("purpose", titled(TEXT, "Of what purpose.")),
        "If-None-Match": _header("If-None-Match", "Tags of copies that are at hand."),
        "If-Match": _header("If-Match", "Tags, of which the answer must have one."),
        "If-Range": _header("If-Range", "The tag that a range is of."),
        "Range": _header("Range", "One range of bytes (RFC 9110, section 14)."),
        "Prefer": _header("Prefer", "`respond-async`, `wait=10` (RFC 7240)."),
        "Idempotency-Key": _parameter(
            "header",
            "Idempotency-Key",
            {
                **{"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
                "description": "Equal keys are one request.",
            },
        ),
        "job.Idempotency-Key": _header(
            "Idempotency-Key", "Equal keys are one job; else it counts for nothing."
        ),
        "Last-Event-ID": _header("Last-Event-ID", "The last event that was read."),
        "X-Stainless-Retry-Count": _header(
            "X-Stainless-Retry-Count", "How often OpenAI's clients have tried before."
        ),
        "X-Request-ID": _header("X-Request-ID", "What the log is to call the request."),
    }


def image_content(names: tuple[str, ...] = tuple(FORMATS)) -> dict[str, Schema]:
    """Return the media types of an image in some formats, and the JSON of one."""
    kinds = {FORMATS[name].media_type: FILE for name in names}
    return {**kinds, JSON: ref("ImageDocument")}


def _ok(
    schema: str, text: str, named: tuple[str, ...] = responses.PLAIN
) -> dict[str, Any]:
    return answer(text, {JSON: ref(schema)}, named)


def _page(schema: str, text: str) -> dict[str, Any]:
    return {
        "200": _ok(schema, text, responses.PAGE),
        "304": {"$ref": "#/components/responses/NotModified"},
    }


def _whole(text: str) -> dict[str, Any]:
    """Return the answers with a whole collection in each of the forms."""
    kinds = {form.media_type: FILE for form in FORMS.values()}
    kinds |= {JSON: ref("CollectionImages"), _NDJSON: TEXT}
    return {
        "200": answer(text, kinds, responses.WHOLE),
        "206": {"$ref": "#/components/responses/Part"},
        "304": {"$ref": "#/components/responses/NotModified"},
    }


def json_body(schema: Schema, **examples: Any) -> dict[str, Any]:
    """Return a body of JSON that has to be there."""
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {n: {"value": v} for n, v in examples.items()}
    return {"required": True, "content": {JSON: content}}


_DECLARED = """title = "Greeting"
width = 400
height = 100

[parameters.title]
type = "text"
max_length = 80
example = "Hello"
"""
_ROWS_EXAMPLE = {"renderer": "solid", "items": [{"width": 40, "height": 20}]}


def _upload() -> dict[str, Any]:
    """Return the body of a collection, in all its media types."""
    made = json_body(ref("CollectionRequest"), rows=_ROWS_EXAMPLE)
    for kind in TABLE_TYPES:
        text = "excel" not in kind and "sheet" not in kind and "octet" not in kind
        made["content"][kind] = {"schema": TEXT if text else FILE}
    made["content"][_MULTIPART] = {
        "schema": {
            "type": "object",
            "properties": {"rows": titled(FILE, "The table; images in other parts.")},
            "required": ["rows"],
            "additionalProperties": True,
        }
    }
    return made


_ROWS = (
    *("rows.renderer", "rows.name", "rows.names", "rows.ignore", "rows.bind"),
    *("rows.sheet", "rows.bad_rows", "rows.cell", "rows.parameters"),
    *(f"option.{name}" for name in OPTIONS),
)
_JOB_LINKS = {
    name: {"operationId": id, "parameters": {"key": "$response.body#/id"}}
    for name, id in (
        ("self", "getJob"),
        ("manifest", "getJobManifest"),
        ("errors", "getJobErrors"),
        ("deliveries", "getJobDeliveries"),
        ("cancel", "cancelJob"),
        ("retry", "retryJob"),
        ("purge", "purgeJob"),
    )
}
_COLLECTION_LINKS = {
    "self": {
        "operationId": "getCollection",
        "parameters": {"key": "$response.body#/id"},
    },
    "image": {
        "operationId": "getCollectionImage",
        "parameters": {"key": "$response.body#/id", "index": "1", "format": "png"},
    },
    "zip": {
        "operationId": "getCollectionAs",
        "parameters": {"key": "$response.body#/id", "form": "zip"},
    },
    "sheet": {
        "operationId": "getContactSheet",
        "parameters": {"key": "$response.body#/id", "format": "png"},
    },
    "delete": {
        "operationId": "deleteCollection",
        "parameters": {"key": "$response.body#/id"},
    },
}
_FILE_LINKS = {
    "self": {"operationId": "getFile", "parameters": {"id": "$response.body#/id"}},
    "content": {
        "operationId": "getFileContent",
        "parameters": {"id": "$response.body#/id"},
    },
}
_BATCH_LINKS = {
    name: {"operationId": id, "parameters": {"id": "$response.body#/id"}}
    for name, id in (("self", "getBatch"), ("cancel", "cancelBatch"))
}


def _with_links(made: dict[str, Any], links: Mapping[str, Any]) -> dict[str, Any]:
    return {**made, "links": links}


def job(text: str) -> dict[str, Any]:
    return _with_links(_ok("Job", text, responses.JOB), _JOB_LINKS)


def _images() -> dict[str, Any]:
    images = answer("The images.", {JSON: ref("Images"), **_STREAM}, responses.MADE)
    return {"200": images}


def _edit_body() -> dict[str, Any]:
    """Return the body of what makes images of another one: a form, or JSON."""
    form = schemas.openai_request()
    form["properties"] = {
        **{n: without_null(row) for n, row in form["properties"].items()},
        "image": titled(FILE, "The image."),
    }
    form["required"] = ["image"]
    made = json_body(ref("ImagesOfImageRequest"))
    made["content"][_MULTIPART] = {"schema": form}
    return made


def operations() -> tuple[Operation, ...]:
    """Return all operations but those of single renderers; HEAD is as GET."""
    return (
        *_catalogue(),
        *_templates(),
        *_prompts(),
        *_collections(),
        *_jobs(),
        *_batches(),
        *_operation(),
    )


def _prompted() -> dict[str, Schema]:
    """Return the media types in which the images of a prompt come."""
    kinds = {row.media_type: FILE for row in FORMATS.values()}
    document = {"anyOf": [ref("Inference"), ref("ImageDocument"), ref("Images")]}
    return {JSON: document, "application/zip": FILE, **kinds}


def _catalogue() -> tuple[Operation, ...]:
    look = ("Catalogue", "look", "Look")
    page = {
        "200": answer("A page.", {_HTML: TEXT}, responses.BROWSED),
        "304": {"$ref": "#/components/responses/NotModified"},
    }
    file = {**page, "200": answer("The file.", {"*/*": {}}, responses.BROWSED)}
    return (
        Operation(
            *("get", "/", "getFrontPage", "Show every renderer's example", *look),
            page,
            _CONDITIONS,
        ),
        Operation(
            *("get", "/studio", "getStudio", "Show the studio", *look),
            page,
            _CONDITIONS,
        ),
        Operation(
            *("get", "/studio/{file}", "getStudioFile"),
            *("Send a script or a style of the studio", *look),
            file,
            ("page-file", *_CONDITIONS),
        ),
        Operation(
            *("get", "/docs/api", "getReference", "Show this document", *look),
            page,
            _CONDITIONS,
        ),
        Operation(
            *("get", "/docs/api/{file}", "getReferenceFile"),
            *("Send a script or a style of the reference", *look),
            file,
            ("reference-file", *_CONDITIONS),
        ),
        Operation(
            *("get", "/docs", "getDocs", "Lead to the documents", *look),
            {"308": answer("They begin at `/docs/`.", named=("Location",))},
        ),
        Operation(
            *("get", "/docs/", "getDocsStart", "Show the documents", *look),
            page,
            _CONDITIONS,
        ),
        Operation(
            *("get", "/docs/{page}", "getDocsFile"),
            *("Send a page of the documents, or what it is made of", *look),
            {
                **file,
                "308": answer("It has the ending `.html`.", named=("Location",)),
            },
            ("docs-file", *_CONDITIONS),
        ),
        Operation(
            *("get", "/renderers", "listRenderers", "List all renderers", *look),
            _page("Renderers", "The renderers."),
            _CONDITIONS,
        ),
        Operation(
            *("get", "/renderers/{name}", "getRenderer", "Describe a renderer", *look),
            _page("RendererDescription", "It."),
            ("renderer", *_CONDITIONS),
        ),
        Operation(
            *("get", "/fonts", "listFonts", "List the families of fonts", *look),
            _page("Fonts", "The fonts."),
            _CONDITIONS,
        ),
        Operation(
            *("get", "/problems", "listProblems", "List the types of error", *look),
            _page("ProblemTypes", "The types."),
            _CONDITIONS,
        ),
        Operation(
            *("get", "/problems/{slug}", "getProblem", "Describe a type", *look),
            _page("ProblemType", "It."),
            ("problem", *_CONDITIONS),
        ),
        Operation(
            *("get", "/openapi.json", "getOpenAPI", "Return this document", *look),
            {
                "200": answer("The document.", {JSON: {}}, responses.PAGE),
                "304": {"$ref": "#/components/responses/NotModified"},
            },
            _CONDITIONS,
        ),
    )


def _templates() -> tuple[Operation, ...]:
    templates = ("Templates", "templates", "Template")
    saved = ("Cache-Control", "ETag", "Location")
    example = {
        "files": {
            "template.html": "<h1>{{ title }}</h1>",
            "parameters.toml": _DECLARED,
        }
    }
    return (
        Operation(
            *("get", "/templates", "listTemplates", "List all templates"),
            *("Templates", "templates", "ListTemplates"),
            _page("Templates", "They."),
            _CONDITIONS,
        ),
        Operation(
            *("get", "/templates/{name}", "getTemplate", "Send a template's files"),
            *("Templates", "templates", "ReadTemplate"),
            _page("SavedTemplate", "They."),
            ("template", *_CONDITIONS),
        ),
        Operation(
            *("put", "/templates/{name}", "saveTemplate"),
            *("Keep a template as the next version", "Templates", "templates"),
            "SaveTemplate",
            {
                "200": _ok("SavedTemplate", "It has one more version.", saved),
                "201": _ok("SavedTemplate", "It is kept.", saved),
            },
            ("template", *_CONDITIONS),
            json_body(ref("TemplateFiles"), greeting=example),
        ),
        Operation(
            *("delete", "/templates/{name}", "deleteTemplate"),
            *("Delete a saved template", "Templates", "templates"),
            "DeleteTemplate",
            {"204": answer("It is deleted; versions in use are drawn still.")},
            ("template", *_CONDITIONS),
        ),
        Operation(
            *("post", "/templates/export", "exportTemplate"),
            *("Send a template as the ZIP of its folder", *templates),
            {
                "200": answer(
                    "The ZIP.",
                    {"application/zip": FILE},
                    ("Cache-Control", "Content-Disposition"),
                )
            },
            (),
            json_body(ref("TemplateFiles"), greeting=example),
        ),
        Operation(
            *("post", "/templates/preview", "previewTemplate"),
            *("Draw a template with texts of several lengths", *templates),
            {"200": _ok("TemplatePreview", "It is drawn.")},
            (),
            json_body(ref("TemplatePreviewRequest"), greeting=example),
        ),
    )


def _prompts() -> tuple[Operation, ...]:
    openai = ("Prompts", "draw", "OpenAIPrompt")
    retried = ("Idempotency-Key", "X-Stainless-Retry-Count")
    models = ("Prompts", "look", "OpenAIModels")
    listed = ("Prompts", "look", "WebUIList")
    example = {"prompt": "a lighthouse at dusk", "width": 64, "height": 64}
    generation = {"prompt": "a lighthouse at dusk", "size": "64x64"}
    return (
        Operation(
            *("post", "/inference", "infer", "Make images of a prompt", "Prompts"),
            *("draw", "Prompt"),
            {
                "200": answer(
                    "The images, in the type that `Accept` prefers.",
                    _prompted(),
                    (*responses.MADE, "Content-Disposition", "ETag", "Repr-Digest"),
                ),
                "202": job("It is a job."),
            },
            ("Prefer", "Idempotency-Key", "webhook"),
            json_body(ref("InferenceRequest"), painted=example),
        ),
        Operation(
            *("post", "/v1/images/generations", "createImages"),
            *("Make images of a prompt, as OpenAI does", *openai),
            _images(),
            retried,
            json_body(ref("ImagesRequest"), painted=generation),
        ),
        Operation(
            *("post", "/v1/images/edits", "editImage", "Make images of another one"),
            *openai,
            _images(),
            retried,
            _edit_body(),
        ),
        Operation(
            *("post", "/v1/images/variations", "varyImage", "Make variations of one"),
            *openai,
            _images(),
            retried,
            _edit_body(),
        ),
        Operation(
            *("get", "/v1/models", "listModels", "List what takes a prompt", *models),
            {"200": _ok("Models", "The models.")},
        ),
        Operation(
            *("get", "/v1/models/{name}", "getModel", "Describe a model", *models),
            {"200": _ok("Model", "It.")},
            ("model",),
        ),
        Operation(
            *("post", "/sdapi/v1/txt2img", "txt2img"),
            *("Make images of a prompt, as Stable Diffusion WebUI does", "Prompts"),
            *("draw", "WebUIPrompt"),
            {"200": _ok("WebUIImages", "The images.", responses.MADE)},
            ("Idempotency-Key",),
            json_body(ref("WebUIRequest"), painted=example),
        ),
        Operation(
            *("get", "/sdapi/v1/sd-models", "listCheckpoints"),
            *("List what takes a prompt, as WebUI does", *listed),
            {"200": _ok("WebUIList", "The models.")},
        ),
        Operation(
            *("get", "/sdapi/v1/samplers", "listSamplers"),
            *("List samplers, as WebUI does", *listed),
            {"200": _ok("WebUIList", "One, for there are none.")},
        ),
        Operation(
            *("get", "/sdapi/v1/options", "getOptions"),
            *("Say what is usual, as WebUI does", *listed),
            {"200": _ok("WebUIOptions", "The settings.")},
        ),
    )


def _collections() -> tuple[Operation, ...]:
    read = ("Collections", "read")
    kept = _with_links(
        _ok(
            "Collection",
            "It is kept.",
            ("Cache-Control", "Location", "X-Media-Warnings"),
        ),
        _COLLECTION_LINKS,
    )
    again = answer(
        "It was kept before; or, with `preview`, what the worst rows look like.",
        {JSON: {"anyOf": [ref("Collection"), ref("Preview"), ref("Job")]}},
        ("Cache-Control", "Location", "X-Media-Warnings", "Preference-Applied"),
    )
    return (
        Operation(
            *("post", "/collections", "createCollection", "Keep a collection"),
            *("Collections", "keep", "Keep"),
            {"200": again, "201": kept, "202": job("It is a job.")},
            (*_ROWS, "preview", *LATER),
            _upload(),
        ),
        Operation(
            *("get", "/collections/{key}", "getCollection", "Describe a collection"),
            *(*read, "Read"),
            _page("Collection", "It."),
            ("collection", *_CONDITIONS),
        ),
        Operation(
            *("delete", "/collections/{key}", "deleteCollection"),
            *("Forget a collection, and what was drawn of it", "Collections", "keep"),
            "Read",
            {"204": answer("It is forgotten.")},
            ("collection",),
        ),
        Operation(
            *("get", "/collections/{key}/{index}.{format}", "getCollectionImage"),
            *("Draw one image of a collection", *read, "ReadImages"),
            {
                "200": {"$ref": "#/components/responses/Image"},
                "206": {"$ref": "#/components/responses/Part"},
                "304": {"$ref": "#/components/responses/NotModified"},
            },
            ("collection", "index", "image-format", "download", *_RANGES),
        ),
        Operation(
            *("get", "/collections/{key}/sheet.{format}", "getContactSheet"),
            *("Draw a contact sheet", *read, "ReadImages"),
            {
                "200": answer(
                    "The sheet.",
                    {
                        row.media_type: FILE
                        for name, row in FORMATS.items()
                        if name not in ("svg", "ico")
                    },
                    responses.WHOLE,
                ),
                "206": {"$ref": "#/components/responses/Part"},
                "304": {"$ref": "#/components/responses/NotModified"},
            },
            (
                *("collection", "sheet-format", "download"),
                *(*SheetParameters.model_fields, *_RANGES),
            ),
        ),
        Operation(
            *("get", "/collections/{key}.{form}", "getCollectionAs"),
            *("Send all of a collection", *read, "ReadImages"),
            _whole("All of it."),
            ("collection", "form", *_EXPORT, *_PRINT, *_RANGES, *_motion()),
        ),
        Operation(
            *("post", "/collections.{form}", "createCollectionAs"),
            *("Keep a collection and send all of it", "Collections", "keep"),
            "KeepAndSend",
            {
                **_whole("All of it."),
                "202": job("It is a job."),
            },
            (
                *("form", *_ROWS, *_EXPORT, *_PRINT, *_motion()),
                *(*LATER, *_RANGES),
            ),
            _upload(),
        ),
    )


def _motion() -> tuple[str, ...]:
    return tuple(name for name in _MOTION if name not in _EXPORT)


def _jobs() -> tuple[Operation, ...]:
    jobs, read = ("Jobs", "jobs", "Jobs"), ("Jobs", "read", "ReadJob")
    ended = _ok("Job", "It was cancelled before.")
    cancelled = {"200": ended, "202": _ok("Job", "It is being cancelled.")}
    waiting = ("job", "Prefer", *_CONDITIONS)
    return (
        Operation(
            *("post", "/jobs", "createJob", "Submit a collection", "Jobs", "jobs"),
            "Keep",
            {"200": job("It has ended."), "202": job("It is a job.")},
            (
                *("job-form", *_ROWS, *_EXPORT, *_PRINT, *_motion()),
                *LATER,
            ),
            _upload(),
        ),
        Operation(
            *("get", "/jobs", "listJobs", "List the caller's jobs", *jobs),
            {"200": _ok("Jobs", "The jobs.", ("Cache-Control", "Link"))},
            (f"list.limit.{_MOST_LISTED[0]}", "list.after"),
        ),
        Operation(
            *("get", "/jobs/{key}", "getJob", "Say how far a job is", *jobs),
            {
                "200": _ok("Job", "It.", (*responses.PAGE, *responses.JOB)),
                "304": {"$ref": "#/components/responses/NotModified"},
            },
            waiting,
        ),
        Operation(
            *("delete", "/jobs/{key}", "deleteJob", "Cancel a job", *jobs),
            cancelled,
            ("job",),
        ),
        Operation(
            *("post", "/jobs/{key}/cancel", "cancelJob", "Cancel a job", *jobs),
            cancelled,
            ("job",),
        ),
        Operation(
            *("post", "/jobs/{key}/retry", "retryJob"),
            *("Draw what a job lacks, as another job", "Jobs", "jobs", "RetryJob"),
            {"200": job("It has ended."), "202": job("It goes on.")},
            ("job", "Prefer"),
        ),
        Operation(
            *("post", "/jobs/{key}/purge", "purgeJob", "Forget a job that has ended"),
            *("Jobs", "jobs", "PurgeJob"),
            {"204": answer("It is forgotten.")},
            ("job",),
        ),
        Operation(
            *("get", "/jobs/{key}/events", "watchJob", "Send each change", *jobs),
            {
                "200": answer(
                    "Server-sent events.",
                    _STREAM,
                    ("Cache-Control", "X-Accel-Buffering"),
                ),
                "204": answer("The last event was read.", named=("Cache-Control",)),
            },
            ("job", "Last-Event-ID"),
        ),
        Operation(
            *("get", "/jobs/{key}/archive.{form}", "getJobArchive"),
            *("Send what a job made", *read),
            _whole("All of it."),
            ("job", "form", *_EXPORT, *_PRINT, *_motion(), *_RANGES),
        ),
        Operation(
            *("get", "/jobs/{key}/answer", "getJobAnswer"),
            *("Send what a request for an image, or for a prompt's, asked for",),
            *read,
            {
                "200": answer("It.", _prompted(), responses.IMAGE),
                "206": {"$ref": "#/components/responses/Part"},
                "304": {"$ref": "#/components/responses/NotModified"},
            },
            ("job", *_RANGES),
        ),
        Operation(
            *("get", "/jobs/{key}/manifest.json", "getJobManifest"),
            *("Say what became of each image", *read),
            {"200": _ok("Manifest", "It.", responses.WHOLE)},
            ("job",),
        ),
        Operation(
            *("get", "/jobs/{key}/errors", "getJobErrors", "List what failed", *read),
            {
                "200": answer(
                    "A line of JSON for each image.", {_NDJSON: TEXT}, responses.WHOLE
                )
            },
            ("job",),
        ),
        Operation(
            *("get", "/jobs/{key}/deliveries", "getJobDeliveries"),
            *("List attempts to tell the webhook", *read),
            _page("Deliveries", "The attempts."),
            ("job", *_CONDITIONS),
        ),
    )


def _batches() -> tuple[Operation, ...]:
    jobs, read = ("Batches", "jobs", "OpenAIFiles"), ("Batches", "read", "OpenAIFiles")
    upload = {
        "required": True,
        "content": {
            _MULTIPART: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": titled(FILE, "JSON Lines."),
                        "purpose": {"const": "batch"},
                    },
                    "required": ["file", "purpose"],
                    "additionalProperties": False,
                }
            }
        },
    }
    pages = ("list.after", "list.order")
    few, many = (f"list.limit.{most}" for most in _MOST_LISTED)
    batch = _with_links(_ok("Batch", "It."), _BATCH_LINKS)
    return (
        Operation(
            *("post", "/v1/files", "uploadFile", "Keep the file of a batch", *jobs),
            {"200": _with_links(_ok("File", "It is kept."), _FILE_LINKS)},
            (),
            upload,
        ),
        Operation(
            *("get", "/v1/files", "listFiles", "List the caller's files", *jobs),
            {"200": _ok("Files", "The files.")},
            (many, *pages, "list.purpose"),
        ),
        Operation(
            *("get", "/v1/files/{id}", "getFile", "Describe a file", *jobs),
            {"200": _ok("File", "It.")},
            ("file",),
        ),
        Operation(
            *("get", "/v1/files/{id}/content", "getFileContent", "Send a file", *read),
            {
                "200": answer(
                    "The file.",
                    {"application/octet-stream": FILE},
                    ("Cache-Control", "X-Accel-Buffering"),
                )
            },
            ("file",),
        ),
        Operation(
            *("delete", "/v1/files/{id}", "deleteFile", "Delete a file", *jobs),
            {"200": _ok("DeletedFile", "It is deleted.")},
            ("file",),
        ),
        Operation(
            *("post", "/v1/batches", "createBatch", "Make a batch of a file", *jobs),
            {"200": batch},
            (),
            json_body(ref("BatchRequest")),
        ),
        Operation(
            *("get", "/v1/batches", "listBatches", "List batches", *jobs),
            {"200": _ok("Batches", "The batches.")},
            (few, *pages),
        ),
        Operation(
            *("get", "/v1/batches/{id}", "getBatch", "Say how far a batch is", *jobs),
            {"200": batch},
            ("batch",),
        ),
        Operation(
            *("post", "/v1/batches/{id}/cancel", "cancelBatch", "Cancel one", *jobs),
            {"200": _ok("Batch", "It.")},
            ("batch",),
        ),
    )


def _operation() -> tuple[Operation, ...]:
    draining = _ok("Ready", "It ends, or its store is of another version.")
    draining["headers"].update(responses.headers("Retry-After"))
    return (
        Operation(
            *("get", "/media/{fingerprint}.{format}", "getMedia"),
            *("Send an image that was made before", "Images", "media", "Media"),
            {
                "200": {"$ref": "#/components/responses/Image"},
                "206": {"$ref": "#/components/responses/Part"},
                "304": {"$ref": "#/components/responses/NotModified"},
            },
            ("fingerprint", "media-format", "expires", "key", *_RANGES),
        ),
        Operation(
            *("get", "/health/live", "getLive", "Say that the process runs"),
            *("Operation", "look", "Operate"),
            {"200": _ok("Live", "It runs.")},
        ),
        Operation(
            *("get", "/health/ready", "getReady", "Say whether images are served"),
            *("Operation", "look", "Operate"),
            {"200": _ok("Ready", "They are."), "503": draining},
        ),
        Operation(
            *("get", "/metrics", "getMetrics", "Return figures for Prometheus"),
            *("Operation", "administer", "Operate"),
            {"200": answer("The figures.", {"text/plain": TEXT}, responses.PLAIN)},
        ),
    )
