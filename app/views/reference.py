"""`/openapi.json`: what this server answers, for programs; `/docs/api`: for people."""

from functools import lru_cache, partial

from flask import Blueprint, Response, request

from app.delivery.answer import compress, send_page
from app.openapi.openapi_document import Documents
from app.parsing.accept import JSON
from app.views.body import refuse_words
from app.views.static_files import pages

# Of one document at a time, which is kept as long as the renderers are the same.
_compress_once = lru_cache(maxsize=1)(compress)


def blueprint(documents: Documents, tracking: tuple[str, ...]) -> Blueprint:
    """Return the routes of the document, and of the page that shows it."""
    bp = pages("reference", "/docs/api", "docs", "The reference")

    @bp.get("/openapi.json")
    def document() -> Response:
        """Send the OpenAPI document of this server."""
        told = refuse_words(tracking)
        data = documents.read()
        packed = partial(_compress_once, data)
        answer = send_page(request.environ, data, JSON, packed=packed)
        answer.headers.extend(told)
        return answer

    return bp
