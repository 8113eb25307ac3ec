import base64
import contextlib
import io
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image

from app import create_app
from app.config import Settings
from app.renderer.base import Output, Renderer
from app.renderer.builtin import html as builtin_html
from app.renderer.encode import FORMATS
from app.renderer.engine.engine import Engine
from app.renderer.errors import (
    LimitExceeded,
    RendererError,
    RenderTimeout,
    Undrawable,
)
from app.renderer.sandbox.sandbox import Sandbox

SETTINGS = replace(
    Settings(), system_fonts=False, render_timeout_s=4.0, html_memory_bytes=2**29
)
SLOW = "".join(
    f'<div style="filter:blur({n % 90}px);box-shadow:0 0 {n % 99}px red">x' * 2
    for n in range(90)
)


@pytest.fixture(scope="module")
def isolation() -> Iterator[Sandbox]:
    made = Sandbox(SETTINGS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def html(engine: Engine) -> Renderer:
    return builtin_html.build(engine, SETTINGS)


def bomb(side: int) -> str:
    """A PNG of one bit a pixel: a few kilobytes that unpack to gigabytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data).to_bytes(4)
        return len(data).to_bytes(4) + name + data + crc

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join([packer.compress(row) for _ in range(side)] + [packer.flush()])
    header = side.to_bytes(4) * 2 + bytes((1, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
    encoded = base64.b64encode(png + chunk(b"IEND", b"")).decode()
    return f"data:image/png;base64,{encoded}"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_the_same_as_without_isolation(
    isolation: Sandbox, html: Renderer, name: str
) -> None:
    parameters = html.parameters(html="<h1>Same</h1>", width=64, height=64)

    encoded = isolation.produce(
        html, parameters, Output.model_validate({"format": name})
    )

    assert (encoded.width, encoded.height) == (64, 64)
    if name not in ("pdf", "svg"):
        with Image.open(io.BytesIO(encoded.data)) as image:
            assert image.size == (64, 64)


def test_facts_come_back(isolation: Sandbox, html: Renderer) -> None:
    parameters = html.parameters(html="\U00012000\U00012001", width=64, height=64)

    encoded = isolation.produce(html, parameters, Output())

    assert encoded.facts == {"missing_glyphs": ["U+12000", "U+12001"]}


def test_errors_come_back_as_themselves(isolation: Sandbox, html: Renderer) -> None:
    parameters = html.parameters(html="<b>" * 600, width=64, height=64)

    with pytest.raises(LimitExceeded, match="MIMEO_MAX_HTML_DEPTH"):
        isolation.produce(html, parameters, Output())


def test_a_page_that_takes_too_long_is_stopped(html: Renderer) -> None:
    isolation = Sandbox(replace(SETTINGS, render_timeout_s=0.2))
    parameters = html.parameters(html=SLOW, width=4000, height=4000)
    # Others may use the machine meanwhile: its process begins before the time does.
    with contextlib.suppress(RenderTimeout):
        isolation.produce(html, html.parameters(html="<p>"), Output())
    started = time.perf_counter()

    with pytest.raises(RenderTimeout) as caught:
        isolation.produce(html, parameters, Output())

    isolation.close()
    assert (caught.value.limit, caught.value.allowed_s) == (
        "MIMEO_RENDER_TIMEOUT_S",
        0.2,
    )
    assert time.perf_counter() - started < 30


def test_neither_files_nor_network_are_reached(
    isolation: Sandbox, html: Renderer, tmp_path
) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(1.5)

        def listen() -> None:
            try:
                calls.append(server.accept()[0].close())
            except TimeoutError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        web = f"http://127.0.0.1:{port}"
        body = (
            f'<link rel=stylesheet href="{web}/a.css"><style>@import "{web}/b.css";'
            f"@font-face{{font-family:q;src:url({web}/c.ttf)}}</style>"
            f'<img src="{web}/d">'
            f'<div style="font-family:q;background:url({web}/e)">x</div>'
            f'<iframe src="{web}/f"></iframe><object data="{web}/g"></object>'
            f'<svg><image href="{web}/h" width=9 height=9 /></svg>'
            f'<img src="file://{tmp_path}/red.png"><img src="{tmp_path}/red.png">'
            f'<svg><image href="file://{tmp_path}/red.png" width=9 height=9 /></svg>'
            f'<div style="background:url({tmp_path}/red.png)">x</div>'
        )
        parameters = html.parameters(html=body, width=200, height=200)
        encoded = isolation.produce(html, parameters, Output())
        listener.join()

    colors = Image.open(io.BytesIO(encoded.data)).convert("RGB").getcolors(99_999)
    assert calls == []
    assert (255, 0, 0) not in {color for _, color in colors}


@pytest.mark.parametrize(
    "body",
    [
        '<p style="font-size:1000000px">Huge',
        '<p style="font-size:1e30px;letter-spacing:1e30px">Huge',
        "<p>" + "word " * 50_000,
        "<p>" + "é" * 130_000,
        '<p style="width:-5px;min-width:9px;max-width:-9px;padding:-3px">',
        '<div style="display:grid;grid-template-columns:repeat(9999,1fr)">'
        + "<i>x</i>" * 999,
        '<div style="width:1e9px;height:1e9px;background:radial-gradient(red,blue)">',
        '<div style="filter:blur(9999px)">x',
        '<div style="box-shadow:0 0 99999px 99999px red">x',
        '<div style="transform:scale(1e9) rotate(1e9deg)">x',
        "<b>" * 190 + "x" * 9_999,
        "<table>" * 190,
        "<a><b>" * 95 + "</a></b>" * 9_999,
        f'<img src="{bomb(30_000)}">',
        "<img src=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>\">",
        '<img src="data:image/png;base64,AAAA"><img src=""><img>',
        "\U0001f468\u200d" * 9_999,
        "a" + "\u0301" * 99_999,
        "\u202e\u2066" * 9_999 + "x",
        "<style>" + "a{b:c}" * 30_000 + "</style>x",
        "<style>" + ":is(" * 20_000 + "</style>x",
        "<style>a{width:" + "calc(" * 20_000 + "</style><a>x",
        "<style>" + "a{" * 50_000 + "</style>x",
        '<p style="background:' + "linear-gradient(red,blue)," * 5_000 + 'red">x',
        "&" * 200_000,
    ],
    ids=lambda body: body[:40],
)
def test_hostile_pages_end_in_a_picture_or_an_error_in_time(
    isolation: Sandbox, html: Renderer, body: str
) -> None:
    parameters = html.parameters(html=body, width=800, height=600)
    started = time.perf_counter()

    try:
        encoded = isolation.produce(html, parameters, Output())
    except RendererError as error:
        assert isinstance(error, (Undrawable, RenderTimeout))
    else:
        assert (encoded.width, encoded.height) == (800, 600)

    assert time.perf_counter() - started < SETTINGS.render_timeout_s + 4


def test_bounds_that_packaged_templates_exceed_leave_html_to_be_drawn(
    settings: Settings,
) -> None:
    small = replace(settings, max_side=100, max_pixels=10_000)
    app = create_app(small)

    answer = app.test_client().get("/images/html.png?html=x&width=50&height=50")
    app.extensions["mimeo.jobs"].close()
    app.extensions["mimeo"].close()

    assert answer.status_code == 200, answer.text
