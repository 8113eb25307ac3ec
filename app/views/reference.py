"""`/openapi.json`: what this server answers, for programs."""

from flask import Blueprint, Response, request

from app.delivery.answer import send_page
from app.openapi.openapi_document import Documents
from app.parsing.accept import JSON


def blueprint(documents: Documents) -> Blueprint:
    """Return the route of the document."""
    bp = Blueprint("reference", __name__)

    @bp.get("/openapi.json")
    def document() -> Response:
        """Send the OpenAPI document of this server."""
        return send_page(request.environ, documents.read(), JSON)

    return bp
