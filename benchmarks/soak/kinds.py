"""What the load asks for: each kind a function from randomness to a request."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from urllib.parse import quote

from PIL import Image

_NAMES = ("Ada Lovelace", "Grace Hopper", "Émilie du Châtelet", "王小明", "Zoë Ünal")
_ENDINGS = ("png", "png", "jpg", "webp")
_PAGE = "<body style='font:40px Inter;color:#{:06x}'><h1>Page {}</h1><p>{}</p></body>"
_SERVED = frozenset({200})
# Whatever is sent, the answer is one that HTTP has for it, and no fault of the server.
_NO_FAULT = frozenset(range(200, 500))
_PINNED = (
    "/images/card.png?title=Pinned+{}",
    "/images/dream.png?prompt=sea+{}&width=256&height=256",
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and which answers are right.

    `same` names what its body is compared with: the first body of that name, whole or
    its `part`. Where it is empty, the status alone counts. `conditional` asks with the
    tag of that first answer, `pinned` by the URL that it names.
    """

    kind: str
    path: str
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    same: str = ""
    right: frozenset[int] = _SERVED
    part: tuple[int, int] | None = None
    conditional: bool = False
    pinned: bool = False


def card(random: Random) -> Request:
    """One of 400 cards: most come from the store."""
    n = random.randrange(400)
    ending = _ENDINGS[n % len(_ENDINGS)]
    name = quote(_NAMES[n % len(_NAMES)])
    path = f"/images/card.{ending}?title=Card+number+{n}&author={name}"
    return Request("card", path, same=path)


def code(random: Random) -> Request:
    """A QR code that is new or not."""
    path = f"/images/qr.{random.choice(('png', 'svg'))}?data={random.randrange(2000)}"
    return Request("qr", path, same=path)


def avatar(random: Random) -> Request:
    """Initials or a symmetric pattern."""
    n = random.randrange(600)
    path = random.choice(
        (f"/images/avatar.png?name=A{n}+B", f"/images/identicon.webp?seed={n}&size=128")
    )
    return Request("avatar", path, same=path)


def page(random: Random) -> Request:
    """A caller's own HTML, drawn in a process of its own."""
    n = random.randrange(60)
    body = _PAGE.format(n * 7919 % 16_777_216, n, "word " * (n % 9)).encode()
    path = "/images/html.png?width=400&height=200"
    return Request(
        "html", path, "POST", body, {"Content-Type": "text/html"}, f"html{n}"
    )


def _table(n: int, rows: int) -> bytes:
    lines = [f"Guest {n} {i},Speaker" for i in range(rows)]
    return "\n".join(["name,role", *lines]).encode()


def archive(random: Random, rows: int = 30) -> Request:
    """One of six tables as a ZIP."""
    n = random.randrange(6)
    path = "/collections.zip?renderer=badge&event=Soak"
    same = f"zip{n}.{rows}"
    return Request("zip", path, "POST", _table(n, rows), _CSV, same)


def base64_json(random: Random) -> Request:
    """One of six tables as JSON with base64."""
    n = random.randrange(6)
    path = "/collections.json?renderer=avatar&size=96"
    body = b"name\n" + b"".join(b"J%d %d\n" % (n, i) for i in range(25))
    return Request("json", path, "POST", body, _CSV, f"json{n}")


def span(random: Random) -> Request:
    """A part of an image by the URL that pins it: nginx keeps it."""
    n = random.randrange(40)
    path = _PINNED[n % 2].format(n)
    first = random.randrange(2000)
    last = first + random.randrange(1, 900)
    wanted = {"Range": f"bytes={first}-{last}"}
    right = frozenset({206})
    part = (first, last + 1)
    return Request(
        "range", path, headers=wanted, same=path, right=right, part=part, pinned=True
    )


def unchanged(random: Random) -> Request:
    """A card that the client has already."""
    wanted = card(random)
    return Request(
        "304", wanted.path, same=wanted.same, right=frozenset({304}), conditional=True
    )


def head(random: Random) -> Request:
    """The head of a card."""
    return Request("head", card(random).path, "HEAD")


def upload(random: Random) -> Request:
    """An upload, most of them damaged: bytes flipped, cut, doubled or put in."""
    content_type, body = random.choice(_UPLOADS)
    for _ in range(random.randrange(4)):
        body = _damage(random, body)
    path = random.choice(
        (
            "/collections?renderer=badge",
            "/collections.zip?renderer=card",
            "/images/card.png",
            "/images",
        )
    )
    return Request(
        "upload", path, "POST", body, {"Content-Type": content_type}, right=_NO_FAULT
    )


def _damage(random: Random, body: bytes) -> bytes:
    where = random.randrange(len(body) + 1)
    what = random.randrange(4)
    if what == 0 and where < len(body):
        flipped = bytes([body[where] ^ 1 << random.randrange(8)])
        return body[:where] + flipped + body[where + 1 :]
    if what == 1:
        return body[:where] or b"\0"
    if what == 2:
        return body[:where] + random.randbytes(random.randrange(1, 40)) + body[where:]
    return body[:where] + body[max(0, where - 200) :]


def _pictures() -> dict[str, bytes]:
    image = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    made = {}
    for name in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"):
        buffer = io.BytesIO()
        image.save(buffer, name)
        made[name] = buffer.getvalue()
    return made


def _multipart(fields: Mapping[str, bytes], picture: bytes) -> bytes:
    parts = [
        b'--soak\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (name.encode(), value)
        for name, value in fields.items()
    ]
    file = b'--soak\r\nContent-Disposition: form-data; name="image"; filename="a.png"'
    return b"".join(parts) + file + b"\r\n\r\n" + picture + b"\r\n--soak--\r\n"


_CSV = MappingProxyType({"Content-Type": "text/csv"})
_FORM = "multipart/form-data; boundary=soak"
_UPLOADS = [
    ("text/csv", _table(1, 12)),
    ("text/csv", _table(2, 12).decode().encode("utf-16")),
    ("application/json", b'{"renderer":"badge","items":[{"name":"A"},{"name":"B"}]}'),
    ("application/x-ndjson", b'{"name":"A"}\n{"name":"B"}\n'),
    ("application/json", b'{"renderer":"qr","params":{"data":"x"},"format":"png"}'),
    ("image/png", base64.b64encode(b"no picture")),
    *((_FORM, _multipart({"title": b"T"}, each)) for each in _pictures().values()),
]

Kind = Callable[[Random], Request]
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "card": card,
        "qr": code,
        "avatar": avatar,
        "html": page,
        "zip": archive,
        "json": base64_json,
        "range": span,
        "304": unchanged,
        "head": head,
        "upload": upload,
    }
)
