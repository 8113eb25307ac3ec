"""Equal requests give equal bytes: cold and warm, in threads and processes, in bulk.

`MIMEO_EQUAL_REQUESTS=10000` generates as many requests.
"""

import csv
import hashlib
import io
import os
import random
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from app.config import Settings
from app.image_request import from_strings
from app.renderer.catalogue import Catalogue
from app.renderer.produce import produce
from benchmarks.titles import title
from tests.gunicorn_server import Server, serve

COUNT = int(os.environ.get("MIMEO_EQUAL_REQUESTS", "320"))
FORMATS = ("png", "png", "png", "jpeg", "webp", "pdf", "svg")
COLORS = ("#2f6fde", "teal", "ff8800", "#123", "crimson", "#00aa5580")
# Each renderer's parameters, by the numbers of which the values are made.
NAMES = ("name", "role", "company", "event")
TEXTS = {
    "address-label": ("name", "street", "city", "sender"),
    "avatar": ("name",),
    "badge": (*NAMES, "qr"),
    "barcode": ("data",),
    "card": ("title", "subtitle", "tag", "author"),
    "certificate": ("name", "course", "date", "issuer"),
    "identicon": ("seed",),
    "invoice": ("number", "seller", "notes"),
    "label": ("product", "sku"),
    "place-card": ("name", "table", "note"),
    "placeholder": ("text",),
    "qr": ("data",),
    "quote": ("text", "author"),
    "ticket": ("event", "seat", "place", "code"),
}
TINTS = {"gradient": ("start", "end"), "solid": ("color",), "invoice": ("color",)}
TEMPLATES = TEXTS.keys() - {"barcode", "identicon", "placeholder", "qr"}
PLAIN = ("code", "data", "qr", "sku", "number")


class Asked(NamedTuple):
    """A request: renderer, format, parameters and scale as texts."""

    renderer: str
    format: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        """What a GET asks for."""
        return f"/images/{self.renderer}.{self.format}?{urlencode(self.pairs)}"


def generated(count: int) -> list[Asked]:
    """Return requests of every renderer in turn, grouped as collections want them."""
    chance = random.Random(count)
    names = sorted({*TEXTS, *TINTS})
    made = [_asked(chance, names[at % len(names)], at) for at in range(count)]
    return sorted(set(made))


def _asked(chance: random.Random, name: str, at: int) -> Asked:
    first, *rest = (*TEXTS.get(name, ()), *TINTS.get(name, ()))
    wanted = [first, *(each for each in rest if chance.random() < 0.6)]
    pairs = [(each, _value(chance, name, each, at)) for each in wanted]
    if name in TEMPLATES and chance.random() < 0.2:
        pairs.append(("lang", chance.choice(["de", "ja", "zh-Hant", "ar", "tr"])))
    if name in TEMPLATES and chance.random() < 0.1:
        pairs.append(("emoji", "mono"))
    format_ = chance.choice(FORMATS[:-1] if name == "solid" else FORMATS)
    if format_ != "svg" and chance.random() < 0.3:
        pairs.append(("scale", chance.choice(["1.5", "2"])))
    return Asked(name, format_, tuple(sorted(pairs)))


def _value(chance: random.Random, name: str, field: str, at: int) -> str:
    if field in TINTS.get(name, ()):
        return chance.choice(COLORS)
    if field in PLAIN:
        return f"A-{at}-{chance.randrange(10**6)}"
    text = title(chance.randrange(10_000))
    return text[:35] + (" 🎉" if chance.random() < 0.1 else "")


def digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def drawn(catalogue: Catalogue, settings: Settings, asked: Asked) -> str:
    """Draw here and now, whatever is remembered."""
    renderer = catalogue.get(asked.renderer)
    request = from_strings(renderer, asked.pairs, asked.format, settings)
    return digest(produce(request.renderer, request.parameters, request.output).data)


def alone(server: Server, asked: Asked) -> str:
    reply = server.ask(asked.path)
    assert reply.status == 200, (asked, reply.body)
    return digest(reply.body)


def in_bulk(server: Server, requests: Iterable[Asked]) -> Iterator[tuple[Asked, str]]:
    """Ask for archives of one renderer, output and set of parameters each."""

    def alike(asked: Asked) -> tuple[str, str, str, tuple[str, ...]]:
        given = dict(asked.pairs)
        scale = given.pop("scale", "1")
        return asked.renderer, asked.format, scale, tuple(given)

    for (renderer, format_, scale, names), found in groupby(
        sorted(requests, key=alike), key=alike
    ):
        rows = list(found)
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow(names)
        writer.writerows([dict(row.pairs)[name] for name in names] for row in rows)
        scaled = "" if format_ == "svg" else f"&scale={scale}"
        path = f"/collections.zip?renderer={renderer}&format={format_}{scaled}"
        kind = {"Content-Type": "text/csv; charset=utf-8"}
        reply = server.ask(path, "POST", table.getvalue().encode(), kind)
        assert reply.status == 200, (renderer, names, reply.body)
        with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
            members = archive.namelist()[:-1]
            for row, member in zip(rows, members, strict=True):
                yield row, digest(archive.read(member))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Two workers and two processes for collections, without a store."""
    with serve(settings={"MIMEO_BULK_PROCESSES": "2"}) as running:
        yield running


def test_equal_requests_give_equal_bytes_everywhere(
    server: Server, settings: Settings
) -> None:
    requests = generated(COUNT)
    catalogue = Catalogue(settings)

    cold = {each: drawn(catalogue, settings, each) for each in requests}
    warm = {each: drawn(catalogue, settings, each) for each in reversed(requests)}
    shuffled = random.Random(1).sample(requests, len(requests))
    with ThreadPoolExecutor(4) as pool:
        digests = pool.map(lambda each: drawn(catalogue, settings, each), shuffled)
        threaded = dict(zip(shuffled, digests, strict=True))
    with ThreadPoolExecutor(4) as pool:
        digests = pool.map(lambda each: alone(server, each), shuffled)
        elsewhere = dict(zip(shuffled, digests, strict=True))
    bulk = dict(in_bulk(server, requests))

    assert warm == cold
    assert threaded == cold
    assert elsewhere == cold
    assert bulk == cold
    assert len(set(cold.values())) > 0.9 * len(cold)
