"""The page at `/`: a picture of each renderer, and the way to the studio."""

from flask import Blueprint, Response, render_template, request

from app.renderer.catalogue import Catalogue
from app.views.catalogue import fault, summary
from app.views.static_files import StaticFile, send_file


def blueprint(catalogue: Catalogue) -> Blueprint:
    """Return the route of the front page."""
    bp = Blueprint("index", __name__, template_folder="pages")

    # An empty path, as in `GET http://host`, is no redirect either.
    @bp.get("/", strict_slashes=False)
    def index() -> Response:
        """Show what can be drawn."""
        renderers, broken = catalogue.listed()
        page = render_template(
            "index.html",
            renderers=list(map(summary, renderers)),
            broken=list(map(fault, broken)),
        )
        file = StaticFile(page.encode(), "text/html; charset=utf-8")
        return send_file(request.environ, file)

    return bp
