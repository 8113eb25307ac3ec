"""Files of pages that run in a browser, read once, and the policy that binds them."""

import mimetypes
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.delivery.answer import Answer, compress, send_page
from app.renderer.errors import shorten

# Nothing but this host, no script or style in the page itself, and no frame around it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_ROOT = Path(__file__).parent / "static"
# Whatever the host's own table of types says.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What is text, and so a third of its size or less in gzip.
_TEXTS = frozenset({*_TYPES, ".json", ".txt", ".csv", ".toml", ".yaml"})


class StaticFile(NamedTuple):
    """The bytes of a file, their media type, and what packs them where it helps.

    They are packed for the first who takes gzip: all at once, at each start of a
    worker, would be a third of what it takes to build the app.
    """

    data: bytes
    media_type: str
    packed: Callable[[], bytes] | None = None


def read_files(folder: str) -> Mapping[str, StaticFile]:
    """Return all files of a folder of `views/static`, by their paths in it.

    None of them where there is no such folder.
    """
    root = _ROOT / folder
    return {
        path.relative_to(root).as_posix(): _read(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def send_file(
    environ: Mapping[str, Any], file: StaticFile, policy: str = POLICY
) -> Answer:
    """Return a file, of which a cache asks whether it has changed."""
    answer = send_page(environ, file.data, file.media_type, packed=file.packed)
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def pages(name: str, url: str, folder: str, title: str) -> Blueprint:
    """Return the routes `page` at `url`, and `file` below it, of a folder.

    `title` is what a problem calls the page where it has no such file.
    """
    bp = Blueprint(name, __name__)
    files = read_files(folder)
    start = files["index.html"]

    @bp.get(url)
    def page() -> Response:
        """Send the page."""
        return send_file(request.environ, start)

    @bp.get(f"{url}/<path:name>")
    def file(name: str) -> Response:
        """Send one of its scripts or styles."""
        if name not in files:
            raise NotFound(f"{title} has no file {shorten(name)!r}.")
        return send_file(request.environ, files[name])

    return bp


def _read(path: Path) -> StaticFile:
    data = path.read_bytes()
    packed = cache(partial(compress, data)) if path.suffix in _TEXTS else None
    return StaticFile(data, _type(path), packed)


def _type(path: Path) -> str:
    known = _TYPES.get(path.suffix)
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
