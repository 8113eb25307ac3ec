"""The documents at `/docs`, as a site that `bin/docs` has made of them."""

from posixpath import basename

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.delivery.answer import send_redirect
from app.renderer.errors import shorten
from app.views.static_files import read_files, send_file

_UNBUILT = (
    "The documents are not built in this installation. In a clone, bin/docs builds "
    "them for the next start; until then they are Markdown, in the folder docs."
)


def blueprint() -> Blueprint:
    """Return the routes of the documents; 404 with the command where there are none."""
    bp = Blueprint("manual", __name__)
    files = read_files("manual")

    @bp.get("/docs")
    def page() -> Response:
        """Lead to the start: its links count from the folder."""
        return send_redirect("docs/")

    @bp.get("/docs/", defaults={"name": "index.html"})
    @bp.get("/docs/<path:name>")
    def file(name: str) -> Response:
        """Send a page, or what it is made of; lead to a page from its bare name."""
        if not files:
            raise NotFound(_UNBUILT)
        if name in files:
            return send_file(request.environ, files[name])
        if f"{name}.html" in files:
            return send_redirect(f"{basename(name)}.html")
        raise NotFound(
            f"The documents have no page {shorten(name)!r}: /docs lists all."
        )

    return bp
