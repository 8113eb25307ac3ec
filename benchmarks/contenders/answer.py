"""What the Python contenders have in common: a Flask app that answers PNGs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

PNG = "image/png"


def assets() -> Path:
    """Return the folder that `benchmarks.pictures.export` wrote."""
    return Path(os.environ["ASSETS"])


def read(name: str) -> dict[str, Any]:
    """Return a JSON file of the assets."""
    found: dict[str, Any] = json.loads((assets() / name).read_text())
    return found


def app_of(draw: Callable[[str, int], bytes]) -> Flask:
    """Return an app that draws `title` in `size` pixels as `/picture.png`."""
    app = Flask(__name__)

    def picture() -> Response:
        title, size = request.args["title"], int(request.args["size"])
        return Response(draw(title, size), mimetype=PNG)

    app.add_url_rule("/picture.png", view_func=picture)
    return app
