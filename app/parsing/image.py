"""HTTP text to image requests: the last place where strings are loose."""

import json
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from app.access.policy import require
from app.config import Settings
from app.errors import with_fields
from app.image_request import (
    ImageRequest,
    from_json,
    from_parts,
    from_strings,
    unique,
    unknown_names,
)
from app.parsing.accept import JSON, NotAcceptable, negotiate, prefers_json
from app.parsing.charset import codec_of, decode_text
from app.parsing.tracking import FINGERPRINT, part
from app.renderer.base import Output, Renderer
from app.renderer.catalogue import Catalogue
from app.renderer.encode import FORMATS
from app.renderer.errors import BadParameter, Fault
from app.renderer.params import is_address, spell_bytes
from app.renderer.produce import formats, image_fields, text_fields

MAX_FIELDS = 200
# Bytes of a query and an Accept header whose reading is remembered: 2,048 of the
# longest, with what they were parsed to, are about 8 MiB a worker.
_MOST_REMEMBERED = 1024
# What was sent as JSON before it had a type (RFC 8259 has the one), and after.
_JSONS = frozenset({JSON, "text/json", "text/x-json", "application/x-json"})
# What clients say of a body whose type nobody has told them; curl says the last.
_UNTOLD = ("", "text/plain", "application/octet-stream")
_FORM = "application/x-www-form-urlencoded"
# What a form is cut by, before anything is decoded.
_SIGNS = "%&+="
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\{")


class BadBody(Exception):
    """The query or the body is not what its type says: not UTF-8, not JSON."""


class UnsupportedBody(Exception):
    """The body has a media type that no renderer takes."""


@with_fields
class BodyTooLarge(Exception):
    """The body has more than the `allowed` bytes; `limit` names the setting."""

    limit: str
    allowed: int

    def __str__(self) -> str:
        return f"The body is over the limit {self.limit} of {self.allowed:,} bytes."


@with_fields
class StalePin(Exception):
    """A part is asked for of an image that its URL pins, and that is another now."""

    current: str

    def __str__(self) -> str:
        return (
            "The parameters of this URL no longer make the image that `v` names;"
            " `current` is the fingerprint they make now."
        )


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """An image request, and how its answer is to be delivered.

    `pinned` says that the URL names the fingerprint, `stale` that it names the one of
    another version; `as_json` that base64 in JSON is
    preferred; `download` is the file name that was asked for, `ignored` are names in
    the query or form that count for nothing. `webhook` is for a job.
    """

    request: ImageRequest
    pinned: bool = False
    stale: bool = False
    as_json: bool = False
    download: str | None = None
    ignored: tuple[str, ...] = ()
    webhook: str | None = None


class _Given(NamedTuple):
    """The values of a query or form: for the delivery, for the picture, for nothing."""

    delivery: dict[str, str]
    pairs: list[tuple[str, str]]
    ignored: tuple[str, ...]


class RequestLine(NamedTuple):
    """What the request line and the Accept header say.

    `ending` is the format that the path names, or None.
    """

    name: str
    ending: str | None
    query: bytes
    accept: str | None


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A request's body: media type and charset as declared, bytes, parts of a form."""

    mimetype: str
    data: bytes
    pairs: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    charset: str | None = None


def told_type(mimetype: str, data: bytes) -> str:
    """Return the media type of a body: JSON by any of its names, or by what it is.

    What has no type that says anything, or is said to be a form, is JSON where it
    begins as an object: no form has a field whose name begins so.
    """
    # RFC 6839, 3.1: what ends so can be read as JSON.
    if mimetype in _JSONS or mimetype.endswith("+json"):
        return JSON
    untold = mimetype in (*_UNTOLD, _FORM)
    return JSON if untold and _OBJECT.match(data) else mimetype


def read_pairs(data: bytes, charset: str | None = None) -> list[tuple[str, str]]:
    """Parse a query string or form body (WHATWG URL, section 5.1), strictly UTF-8.

    A form may be in another `charset` that its type declares. Raises BadBody for bytes
    that are not in it and for more than 200 fields, UnsupportedBody for a charset that
    nobody knows.
    """
    try:
        codec = "utf-8" if charset is None else codec_of(charset)
        if _SIGNS.encode(codec) != _SIGNS.encode():
            raise UnsupportedBody(f"A form in {charset} has no signs between fields.")
        return parse_qsl(
            # Not percent-encoded, as `curl -d` sends it, a byte is itself.
            data.decode(codec),
            keep_blank_values=True,
            encoding=codec,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except LookupError as error:
        raise UnsupportedBody(str(error)) from error
    except UnicodeError as error:
        name = charset or "UTF-8"
        raise BadBody(f"The query or form is not percent-encoded {name}.") from error
    except ValueError as error:
        raise BadBody(f"There are more than {MAX_FIELDS} fields.") from error


def read_json(data: bytes, charset: str | None = None) -> dict[str, Any]:
    """Parse a JSON object (RFC 8259); a name given twice is refused, not dropped.

    UTF-16 and UTF-32, in which PowerShell writes files, are told by their first bytes.
    What is not Unicode is in the `charset` that its type declares, if that is one.
    """
    try:
        text = _decode_json(data, charset)
        value = json.loads(text, object_pairs_hook=unique, parse_constant=_refuse)
        # Only an escape can be half of a pair, which no encoding can write.
        halves = _halves(value, "") if "\\u" in text else ()
        faults = [Fault(place, "holds half of a surrogate pair") for place in halves]
    except RecursionError as error:
        raise BadBody("The JSON is nested too deeply.") from error
    except UnicodeDecodeError as error:
        # PowerShell 5.1 sends Latin-1 where nothing else is said.
        place = f"byte {error.start + 1:,} is 0x{data[error.start]:02x}"
        raise BadBody(
            f"The JSON is not {charset or 'UTF-8'}: {place}. Its Content-Type may"
            " declare a charset."
        ) from error
    except ValueError as error:
        raise BadBody(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadBody("The body must be a JSON object.")
    if faults:
        raise BadParameter(*faults)
    return value


def _decode_json(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        # Java's and .NET's clients declare ISO-8859-1, and write it.
        if charset is None:
            raise
    try:
        return decode_text(data, charset)
    except LookupError as error:
        raise UnsupportedBody(str(error)) from error


def _halves(value: Any, place: str) -> Iterator[str]:
    """Yield the places of texts that no encoding can write, names included."""
    if isinstance(value, str):
        if _shown(value) != value:
            yield place
        return
    members = value if isinstance(value, dict) else {}
    if isinstance(value, list):
        members = {str(index): each for index, each in enumerate(value)}
    for name, each in members.items():
        inner = f"{place}.{_shown(name)}".removeprefix(".")
        if _shown(name) != name:
            yield inner
        yield from _halves(each, inner)


def _shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


class Parser:
    """Turns requests into `Asked`, by the catalogue and within the limits."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._catalogue = catalogue
        self._settings = settings
        # Parsing is pure, and a popular URL is parsed again and again: without
        # this a 304 costs about twice as much (benchmarks/http.py).
        self._remember = lru_cache(maxsize=2048)(self._from_query)

    def query(self, line: RequestLine) -> ParsedRequest:
        """Parse a GET request."""
        line, renderer = self._resolve(line)
        is_long = len(line.query) + len(line.accept or "") > _MOST_REMEMBERED
        # An image at a URL may be another one the next time.
        if is_long or (renderer.images is not None and b"http" in line.query.lower()):
            return self._from_query(renderer, line)
        return self._remember(renderer, line)

    def _resolve(self, line: RequestLine) -> tuple[RequestLine, Renderer]:
        """Return a renderer by its name, which may have a dot: `gpt-image-1.5`."""
        if line.ending is not None:
            whole = f"{line.name}.{line.ending}"
            name, _, ending = whole.rpartition(".")
            known = whole in self._catalogue.names()
            line = line._replace(
                name=whole if known else name, ending=None if known else ending
            )
        return line, self._renderer(line.name)

    def _renderer(self, name: str) -> Renderer:
        """Return a renderer that the caller may draw by; before anything is parsed."""
        renderer = self._catalogue.get(name)
        require(renderer)
        return renderer

    def unfetched(self, line: RequestLine) -> str | None:
        """Return the type of the answer where `query` would have to fetch an image.

        None where it would not. Raises what `query` raises, but of the image.
        """
        line, renderer = self._resolve(line)
        images = renderer.images
        if images is None:
            return None
        # Without the pin, which only the image could confirm.
        pairs = self._given(renderer, read_pairs(line.query)).pairs
        missing = {
            name
            for name in image_fields(renderer.parameters)
            for key, value in pairs
            if key == name and is_address(value) and not images.knows(value, name)
        }
        if not missing:
            return None
        known = [(name, "data:,-" if name in missing else v) for name, v in pairs]
        asked = self._from_pairs(renderer, line, known)
        row = FORMATS[asked.request.output.format]
        return JSON if asked.as_json else row.media_type

    def body(self, line: RequestLine, body: RequestBody) -> ParsedRequest:
        """Parse a POST request to a renderer: form, JSON, multipart or raw HTML."""
        line, renderer = self._resolve(line)
        if body.mimetype == JSON:
            given = self._given(renderer, read_pairs(line.query))
            if given.pairs:
                reason = "belongs into the JSON body, as all parameters"
                raise BadParameter(*(Fault(key, reason) for key, _ in given.pairs))
            values = read_json(body.data, body.charset)
            if "webhook" not in renderer.parameters.model_fields:
                _take_webhook(values, given)
            wanted = _format(renderer, line, values)
            made = from_json(renderer, values, wanted, self._settings)
            return self._asked(made, line, given)
        pairs = [*read_pairs(line.query), *_text_pairs(renderer, body)]
        return self._from_pairs(renderer, line, pairs)

    def envelope(self, line: RequestLine, body: RequestBody) -> ParsedRequest:
        """Parse `POST /images`: renderer, params and output options as JSON."""
        given = self._given(None, read_pairs(line.query))
        values = read_json(body.data, body.charset)
        _take_webhook(values, given)
        name, params = values.pop("renderer", None), values.pop("params", {})
        unknown = [
            *dict(given.pairs),
            *sorted(values.keys() - Output.model_fields.keys()),
        ]
        if unknown:
            known = ("renderer", "params", *Output.model_fields)
            raise BadParameter(*unknown_names(unknown, known))
        if not isinstance(name, str):
            raise BadParameter(Fault("renderer", "must be the name of a renderer"))
        if not isinstance(params, dict):
            raise BadParameter(Fault("params", "must be an object"))
        renderer = self._renderer(name)
        wanted = _format(renderer, line, values)
        output = values if wanted is None else {**values, "format": wanted}
        made = from_parts(renderer, params, output, self._settings)
        return self._asked(made, line, given)

    def _from_query(self, renderer: Renderer, line: RequestLine) -> ParsedRequest:
        return self._from_pairs(renderer, line, read_pairs(line.query))

    def _from_pairs(
        self, renderer: Renderer, line: RequestLine, pairs: list[tuple[str, str]]
    ) -> ParsedRequest:
        given = self._given(renderer, pairs)
        wanted = _format(renderer, line, dict(given.pairs))
        made = from_strings(renderer, given.pairs, wanted, self._settings)
        return self._asked(made, line, given)

    def _given(
        self, renderer: Renderer | None, pairs: Iterable[tuple[str, str]]
    ) -> _Given:
        """Part the options of the delivery, and what counts for nothing, from the rest.

        A renderer's own `v` is told from a pin by its form.
        """
        own = () if renderer is None else renderer.parameters.model_fields
        kept, ignored = part(pairs, own, self._settings.tracking_names)
        options: list[tuple[str, str]] = []
        rest: list[tuple[str, str]] = []
        for name, value in kept:
            is_pin = name == "v" and FINGERPRINT.match(value)
            is_option = is_pin or name == "download"
            is_option = is_option or (name == "webhook" and name not in own)
            (options if is_option else rest).append((name, value))
        return _Given(unique(options), rest, ignored)

    def _asked(
        self, request: ImageRequest, line: RequestLine, given: _Given
    ) -> ParsedRequest:
        pin = given.delivery.get("v")
        row = FORMATS[request.output.format]
        return ParsedRequest(
            request,
            pinned=pin == request.fingerprint,
            stale=pin not in (None, request.fingerprint),
            as_json=prefers_json(line.accept, row.media_type),
            download=given.delivery.get("download"),
            ignored=given.ignored,
            webhook=given.delivery.get("webhook"),
        )


def _take_webhook(values: dict[str, Any], given: _Given) -> None:
    """Move the webhook of a JSON body to the options of the delivery."""
    if "webhook" not in values:
        return
    if "webhook" in given.delivery:
        raise BadParameter(Fault("webhook", "is given twice"))
    webhook = values.pop("webhook")
    if not isinstance(webhook, str):
        raise BadParameter(Fault("webhook", "must be a text"))
    given.delivery["webhook"] = webhook


def _format(
    renderer: Renderer, line: RequestLine, values: Container[str]
) -> str | None:
    """Return the format by path or Accept; None where the parameters name it."""
    if line.ending is not None:
        return line.ending
    # A renderer's own parameter of that name would not be the output's.
    if "format" in values and "format" not in renderer.parameters.model_fields:
        return None
    names = {FORMATS[name].media_type: name for name in formats(renderer)}
    choice = negotiate(line.accept, tuple(names))
    if choice is None:
        raise NotAcceptable((*names, JSON))
    return names[choice.media_type]


def _text_pairs(renderer: Renderer, body: RequestBody) -> Iterable[tuple[str, str]]:
    if body.mimetype == _FORM:
        return read_pairs(body.data, body.charset)
    if body.mimetype == "multipart/form-data":
        texts = text_fields(renderer.parameters)
        files = (file_pair(name, data, text=name in texts) for name, data in body.files)
        return [*body.pairs, *files]
    if body.mimetype == "text/html" and "html" in renderer.parameters.model_fields:
        try:
            return [("html", decode_text(body.data, body.charset))]
        except LookupError as error:
            raise UnsupportedBody(str(error)) from error
        except UnicodeDecodeError as error:
            charset = body.charset or "UTF-8"
            raise BadBody(f"The body is not {charset}: {error.reason}.") from error
    if body.mimetype == "" and not body.data:
        return ()
    raise UnsupportedBody(
        f"{renderer.name} takes application/x-www-form-urlencoded,"
        f" multipart/form-data or application/json, not {body.mimetype or 'no type'}."
    )


def file_pair(name: str, data: bytes, *, text: bool) -> tuple[str, str]:
    """Spell a file as a query would: its text, or a data URI of its bytes.

    Raises BadParameter where a text is not UTF-8.
    """
    if not text:
        return name, spell_bytes(data)
    try:
        return name, decode_text(data, None)
    except (LookupError, UnicodeError) as error:
        raise BadParameter(Fault(name, "is a file that is not UTF-8")) from error
