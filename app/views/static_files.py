"""Files of pages that run in a browser, read once, and the policy that binds them."""

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from app.delivery.answer import Answer, send_page

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
}


class StaticFile(NamedTuple):
    """The bytes of a file, and their media type."""

    data: bytes
    media_type: str


def read_files(folder: str) -> Mapping[str, StaticFile]:
    """Return all files of a folder of `views/static`, by their paths in it."""
    root = _ROOT / folder
    return {
        path.relative_to(root).as_posix(): StaticFile(path.read_bytes(), _type(path))
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def send_file(
    environ: Mapping[str, Any], file: StaticFile, policy: str = POLICY
) -> Answer:
    """Return a file, of which a cache asks whether it has changed."""
    answer = send_page(environ, file.data, file.media_type)
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _type(path: Path) -> str:
    known = _TYPES.get(path.suffix)
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
