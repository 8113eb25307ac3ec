"""One upstream's table in a file of upstreams."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NoReturn, get_args

from app.renderer.errors import BadParameter
from app.upstream.request.capabilities import open_fields
from app.upstream.request.prompt import Ask, check
from app.upstream.service import Api, Credential, Kind, Service
from app.upstream.setting import (
    UpstreamSettingError,
    read_credential,
    read_model,
    read_url,
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})\Z")
# RFC 6901, section 3: a tilde is only ever ~0 or ~1.
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)*\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Headers that the connection and the request have of their own.
_OWN_HEADERS = frozenset(
    (
        *("accept", "accept-encoding", "connection", "content-encoding"),
        *("content-length", "content-type", "expect", "host", "idempotency-key"),
        *("te", "trailer", "transfer-encoding", "upgrade", "user-agent"),
    )
)
_SECONDS = MappingProxyType(
    {"connect_s": 60, "first_byte_s": 600, "idle_s": 600, "total_s": 900}
)
_NUMBERS = MappingProxyType(
    {
        "max_wire_bytes": 1 << 30,
        "max_image_bytes": 1 << 29,
        "max_images": 100,
        "max_pixels": 1 << 30,
        "concurrency": 1_000,
    }
)
_KEYS = ("kind", "url", "api", "model", "pointer", "key_env", "key_header")
_KNOWN = (*_KEYS, "key_scheme", "knows", "sizes", *_SECONDS, *_NUMBERS)


class Table:
    """One upstream's table in the file."""

    def __init__(
        self, place: str, name: str, table: object, environ: Mapping[str, str]
    ) -> None:
        self._place = place
        self._name = name
        self._environ = environ
        if not _NAME.match(name):
            self._refuse("", "a name has a-z, 0-9 and -, 40 at most, a letter first")
        if not isinstance(table, dict):
            self._refuse("", "must be a table")
        self._table: Mapping[str, Any] = table
        for key in table:
            if key not in _KNOWN:
                self._refuse(key, f"is not known; known are {', '.join(_KNOWN)}")

    def read(self) -> Service:
        """Return the upstream; raise UpstreamSettingError."""
        kind = self._choice("kind", get_args(Kind))
        if kind is None or "url" not in self._table:
            self._refuse("kind" if kind is None else "url", "is required")
        options: dict[str, Any] = {
            "api": self._api(kind),
            "model": self._model(kind),
            "pointer": self._pointer(kind),
            "credential": self._credential(),
            "sizes": self._sizes(),
        }
        options |= {key: self._seconds(key) for key in _SECONDS if key in self._table}
        options |= {key: self._whole(key) for key in _NUMBERS if key in self._table}
        url = read_url(self._at("url"), self._text("url") or "", kind)
        upstream = Service(name=self._name, kind=kind, url=url, **options)
        self._check_sizes(upstream)
        return replace(upstream, knows=self._knows(open_fields(upstream)))

    def _at(self, key: str) -> str:
        return f"{self._place}.{key}" if key else self._place

    def _refuse(self, key: str, reason: str) -> NoReturn:
        raise UpstreamSettingError(self._at(key), reason)

    def _text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            self._refuse(key, "must be a text on one line")
        return value

    def _choice(self, key: str, known: tuple[str, ...]) -> Any:
        value = self._text(key)
        if value is not None and value not in known:
            self._refuse(key, f"must be one of {', '.join(known)}")
        return value

    def _api(self, kind: Kind) -> str | None:
        value: str | None = self._choice("api", get_args(Api))
        if kind != "stability" and value is not None:
            self._refuse("api", "belongs to the kind stability")
        return value or ("v2beta" if kind == "stability" else None)

    def _model(self, kind: Kind) -> str | None:
        model = self._text("model")
        if kind == "stability" and not model:
            self._refuse("model", "is required")
        return read_model(self._at("model"), model, kind) if model else None

    def _pointer(self, kind: Kind) -> str | None:
        pointer = self._text("pointer")
        if pointer is not None and kind != "json":
            self._refuse("pointer", "belongs to the kind json")
        if pointer is not None and not _POINTER.match(pointer):
            self._refuse("pointer", "must be a JSON pointer, such as /images/*/data")
        return pointer

    def _credential(self) -> Credential | None:
        variable = self._text("key_env")
        header = self._text("key_header")
        header = "Authorization" if header is None else header
        scheme = self._text("key_scheme")
        if variable is None:
            for key in ("key_header", "key_scheme"):
                if key in self._table:
                    self._refuse(key, "is of no use without key_env")
            return None
        if not _VARIABLE.match(variable):
            self._refuse("key_env", "must be the name of an environment variable")
        if not self._environ.get(variable, "").strip():
            self._refuse("key_env", f"{variable} is not set")
        if not _TOKEN.match(header) or header.lower() in _OWN_HEADERS:
            self._refuse("key_header", "is not the name of a header for a key")
        if scheme and not _TOKEN.match(scheme):
            self._refuse("key_scheme", "must be a word such as Bearer, or empty")
        given = {variable: self._environ[variable].strip()}
        chosen = "Bearer" if scheme is None else scheme
        return read_credential(variable, given, header=header, scheme=chosen)

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self._refuse(key, "must be a list of texts")
        if len(set(value)) != len(value):
            self._refuse(key, "names one twice")
        return tuple(value)

    def _knows(self, known: tuple[str, ...]) -> tuple[str, ...] | None:
        if "knows" not in self._table:
            return None
        names = self._texts("knows")
        for name in names:
            if name not in known:
                self._refuse("knows", f"{name!r} is not one of {', '.join(known)}")
        return names

    def _sizes(self) -> tuple[tuple[int, int], ...]:
        found = []
        for text in self._texts("sizes"):
            size = _SIZE.match(text)
            if size is None:
                self._refuse("sizes", f"{text[:20]!r} is not like 1024x768")
            found.append((int(size[1]), int(size[2])))
        return tuple(found)

    def _check_sizes(self, upstream: Service) -> None:
        """Refuse a size that the kind could never be told."""
        for width, height in upstream.sizes:
            try:
                check(upstream, Ask("any", width=width, height=height))
            except BadParameter as error:
                self._refuse("sizes", f"{width}x{height}: {error}")

    def _seconds(self, key: str) -> float:
        value, most = self._table[key], _SECONDS[key]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value <= most:
            self._refuse(key, f"must be seconds, more than 0 and {most} at most")
        return float(value)

    def _whole(self, key: str) -> int:
        value, most = self._table[key], _NUMBERS[key]
        number = isinstance(value, int) and not isinstance(value, bool)
        if not number or not 1 <= value <= most:
            self._refuse(key, f"must be a whole number from 1 to {most:,}")
        return int(value)
