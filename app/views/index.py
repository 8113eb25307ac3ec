"""The page at `/`: every renderer's example, to look at and to copy."""

from flask import Blueprint, Response, render_template, request

from app.delivery.answer import send_page
from app.renderer.catalogue import Catalogue
from app.views.catalogue import fault, summary


def blueprint(catalogue: Catalogue) -> Blueprint:
    """Return the route of the front page."""
    bp = Blueprint("index", __name__, template_folder="pages")

    # An empty path, as in `GET http://host`, is no redirect either.
    @bp.get("/", strict_slashes=False)
    def index() -> Response:
        """Show what can be drawn."""
        renderers = [summary(catalogue.get(name)) for name in catalogue.names()]
        broken = [fault(error) for error in catalogue.broken().values()]
        page = render_template("index.html", renderers=renderers, broken=broken)
        return send_page(request.environ, page.encode(), "text/html; charset=utf-8")

    return bp
