"""The studio: a page at `/studio` that does what the public API does, by that API."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.renderer.errors import shorten
from app.views.static_files import read_files, send_file


def blueprint() -> Blueprint:
    """Return the routes of the page and of the files it is made of."""
    bp = Blueprint("studio", __name__)
    files = read_files("studio")
    start = files["index.html"]

    @bp.get("/studio")
    def page() -> Response:
        """Send the page."""
        return send_file(request.environ, start)

    @bp.get("/studio/<path:name>")
    def file(name: str) -> Response:
        """Send one of its scripts or styles."""
        if name not in files:
            raise NotFound(f"The studio has no file {shorten(name)!r}.")
        return send_file(request.environ, files[name])

    return bp
