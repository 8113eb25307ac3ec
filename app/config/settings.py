"""Settings: one frozen object, read from the environment once."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from app.config import parsers
from app.errors import with_fields


@with_fields
class BadSetting(ValueError):
    """A setting holds a value that cannot be used; None is one not to be shown."""

    variable: str
    value: str | None
    reason: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f"={self.value!r}"
        return f"{self.variable}{shown}: {self.reason}"


def _default_store() -> str:
    """Return the user's cache folder by the custom of the platform."""
    home = Path("~").expanduser()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return str(base / "mimeo")


def _setting(
    variable: str,
    parse: Callable[[str], Any],
    default: Any,
    doc: str,
    *,
    secret: bool = False,
) -> Any:
    metadata = {"variable": variable, "parse": parse, "doc": doc}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not secret)


_BYTES = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that an operator can choose; each field's metadata names its variable."""

    host: str = _setting("HOST", parsers.host, "127.0.0.1", "Address to listen on.")
    port: int = _setting(
        "PORT", parsers.whole(1, 65535), 8000, "TCP port to listen on."
    )
    workers: int = _setting(
        "WEB_CONCURRENCY",
        parsers.whole(1, 1024),
        lambda: os.cpu_count() or 1,
        "Worker processes; one for each core by default.",
    )
    threads: int = _setting(
        "MIMEO_THREADS",
        parsers.whole(4, 1024),
        32,
        "Requests that one worker holds at a time; most of them wait or are sent.",
    )
    store: str = _setting(
        "MIMEO_STORE",
        parsers.store,
        _default_store,
        "Where encoded images are kept: a folder, a bucket, `memory:` or `none`.",
    )
    store_bytes: int = _setting(
        "MIMEO_STORE_BYTES",
        parsers.whole(1 << 20, _BYTES),
        1 << 30,
        "Bytes that the store may hold; the oldest go first.",
    )
    templates: Path | None = _setting(
        "MIMEO_TEMPLATES",
        parsers.folder,
        None,
        "Folder of your own templates, one folder each.",
    )
    fonts: Path | None = _setting(
        "MIMEO_FONTS",
        parsers.folder,
        None,
        "Folder of font files to load beside the packaged ones.",
    )
    system_fonts: bool = _setting(
        "MIMEO_SYSTEM_FONTS",
        parsers.switch,
        True,
        "Whether the system's font folders fill the gaps.",
    )
    development: bool = _setting(
        "MIMEO_DEVELOPMENT",
        parsers.switch,
        False,
        "Read changed templates at the next request.",
    )
    access_log: bool = _setting(
        "MIMEO_ACCESS_LOG",
        parsers.switch,
        True,
        "Write one JSON line for each request to standard error.",
    )
    max_age_s: int = _setting(
        "MIMEO_MAX_AGE_S",
        parsers.whole(0, 31_536_000),
        0,
        "Seconds a cache may keep an image whose URL does not pin it; 0: revalidate.",
    )
    max_side: int = _setting(
        "MIMEO_MAX_SIDE",
        parsers.whole(1, 65_535),
        8192,
        "Longest side of a picture, in device pixels.",
    )
    max_pixels: int = _setting(
        "MIMEO_MAX_PIXELS",
        parsers.whole(1, 1 << 30),
        1 << 24,
        "Largest area of a picture after scale, in device pixels.",
    )
    max_text_chars: int = _setting(
        "MIMEO_MAX_TEXT_CHARS",
        parsers.whole(1, 1 << 20),
        5000,
        "Characters of text in one request, HTML apart.",
    )
    max_html_bytes: int = _setting(
        "MIMEO_MAX_HTML_BYTES",
        parsers.whole(1, 1 << 24),
        1 << 18,
        "Bytes of a caller's own HTML.",
    )
    max_html_depth: int = _setting(
        "MIMEO_MAX_HTML_DEPTH",
        parsers.whole(1, 512),
        200,
        "How deep elements of a caller's own HTML may nest.",
    )
    max_image_pixels: int = _setting(
        "MIMEO_MAX_IMAGE_PIXELS",
        # 700 MB decoded.
        parsers.whole(1, 178_956_970),
        50_000_000,
        "Pixels of an image sent as a parameter.",
    )
    max_body_bytes: int = _setting(
        "MIMEO_MAX_BODY_BYTES",
        parsers.whole(1024, 1 << 32),
        8 << 20,
        "Bytes of a request body.",
    )
    max_rows: int = _setting(
        "MIMEO_MAX_ROWS",
        parsers.whole(1, 10_000_000),
        100_000,
        "Images of one collection.",
    )
    max_collection_bytes: int = _setting(
        "MIMEO_MAX_COLLECTION_BYTES",
        parsers.whole(1024, 1 << 36),
        1 << 26,
        "Bytes of a collection's upload.",
    )
    max_collection_pixels: int = _setting(
        "MIMEO_MAX_COLLECTION_PIXELS",
        parsers.whole(1, 1 << 50),
        10**11,
        "Area of all images of a collection together, in device pixels.",
    )
    max_frames: int = _setting(
        "MIMEO_MAX_FRAMES",
        parsers.whole(1, 100_000),
        1000,
        "Images of one animation or contact sheet.",
    )
    collections_bytes: int = _setting(
        "MIMEO_COLLECTIONS_BYTES",
        parsers.whole(1 << 20, _BYTES),
        1 << 30,
        "Bytes that the store may hold of collections and their manifests.",
    )
    lookahead_bytes: int = _setting(
        "MIMEO_LOOKAHEAD_BYTES",
        parsers.whole(1, 1 << 32),
        1 << 24,
        "Bytes of images drawn ahead of one client; drawing pauses there.",
    )
    lookahead_images: int = _setting(
        "MIMEO_LOOKAHEAD_IMAGES",
        parsers.whole(1, 256),
        8,
        "Images drawn ahead of one client; drawing pauses there.",
    )
    layout_wait_s: float = _setting(
        "MIMEO_LAYOUT_WAIT_S",
        parsers.seconds(0, 300),
        20.0,
        "Seconds a resumed download waits for an archive never sent whole; then 503.",
    )
    render_timeout_s: float = _setting(
        "MIMEO_RENDER_TIMEOUT_S",
        parsers.seconds(0.1, 300),
        10.0,
        "Seconds after which drawing a caller's HTML is stopped; templates are not.",
    )
    queue_timeout_s: float = _setting(
        "MIMEO_QUEUE_TIMEOUT_S",
        parsers.seconds(0, 300),
        10.0,
        "Seconds a request waits for its turn to draw before it gets a 503.",
    )
    html_memory_bytes: int = _setting(
        "MIMEO_HTML_MEMORY_BYTES",
        parsers.whole(1 << 28, 1 << 36),
        1 << 30,
        "Memory of the process that draws a caller's own HTML.",
    )

    upstreams: Path | None = _setting(
        "MIMEO_UPSTREAMS",
        parsers.file,
        None,
        "TOML file that names services that make images.",
    )
    default_renderer: str | None = _setting(
        "MIMEO_DEFAULT_RENDERER",
        str,
        None,
        "Renderer of prompts that name none; see docs/how-to/upstreams.md.",
    )
    purchases_bytes: int = _setting(
        "MIMEO_PURCHASES_BYTES",
        parsers.whole(1 << 20, _BYTES),
        1 << 31,
        "Bytes that the store may hold of images that services made.",
    )
    reuse_s: int = _setting(
        "MIMEO_REUSE_S",
        parsers.whole(0, 86_400),
        600,
        "Seconds in which a prompt that comes again without a key is not paid again.",
    )
    url_key: str | None = _setting(
        "MIMEO_URL_KEY",
        parsers.secret,
        None,
        "Secret that signs the URLs of images; one of the store's own by default.",
        secret=True,
    )
    url_ttl_s: int = _setting(
        "MIMEO_URL_TTL_S",
        parsers.whole(60, 604_800),
        3600,
        "Seconds for which a signed URL of an image works.",
    )
    gateway_status: int | None = _setting(
        "MIMEO_GATEWAY_STATUS",
        parsers.whole(500, 599),
        None,
        "Status in place of 502 and 504, whose bodies some proxies replace.",
    )
    public_url: str | None = _setting(
        "MIMEO_PUBLIC_URL",
        parsers.origin,
        None,
        "Origin that signed URLs begin with; that of the request by default.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; raise BadSetting that names the first bad variable.

        An empty variable counts as unset. A `MIMEO_` variable that is no setting
        is refused too: a misspelt limit must not pass for a set one.
        """
        _refuse_unknown(environ)
        return cls(**dict(_read(environ)))


def variables() -> tuple[tuple[str, str, str], ...]:
    """List every setting as variable, default and description, for the docs."""
    return tuple(
        (item.metadata["variable"], _shown(item), item.metadata["doc"])
        for item in fields(Settings)
    )


def _shown(item: Any) -> str:
    special = {"store": "the user's cache folder", "workers": "the number of cores"}
    if item.default is MISSING:
        return special[item.name]
    if item.default is None:
        return "none"
    if isinstance(item.default, bool):
        return "on" if item.default else "off"
    return f"{item.default}"


def _read(environ: Mapping[str, str]) -> Any:
    for item in fields(Settings):
        variable = item.metadata["variable"]
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            yield item.name, item.metadata["parse"](text)
        except ValueError as error:
            # A URL may hold a user and a password.
            shown = text if item.repr and "@" not in text else None
            raise BadSetting(variable, shown, str(error)) from error


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {item.metadata["variable"] for item in fields(Settings)}
    for variable in sorted(environ):
        if variable.startswith("MIMEO_") and variable not in known:
            # Without the value: it may be the secret of a misspelt MIMEO_URL_KEY.
            raise BadSetting(variable, None, "is not a setting of Mimeo")
