"""`browser`: Chromium draws callers' pages, and reaches nothing."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image

from app import create_app
from app.config import BadSetting, Settings, budget_of
from app.renderer.engine.fonts import load_fonts
from app.renderer.errors import BrowserUnavailable
from app.renderer.sandbox.chromium import BrowserDied, Chromium
from tests.waiting import wait_until
from tests.web_fonts import block_font, source

CHROMIUM = Path("/usr/bin/chromium")
SECRET = "a-secret-of-the-environment-7391"
# A machine may have other work; what never ends is given less.
PATIENT_S, HASTY_S = 120.0, 3.0
FLOAT = (
    "<div style='float:left;width:60px;height:60px;background:#f00'></div>"
    "<p style='margin:0;color:#00f'>" + "beside the float " * 20
)
RED, WHITE = (255, 0, 0), (255, 255, 255)

pytestmark = pytest.mark.skipif(
    not CHROMIUM.is_file(), reason=f"there is no {CHROMIUM}"
)


def built(settings: Settings) -> Flask:
    return create_app(replace(settings, browser=CHROMIUM, local_callers=True))


def end(app: Flask) -> None:
    app.extensions["mimeo.jobs"].close()
    app.extensions["mimeo"].close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("browser")
    settings = Settings(
        store=str(folder), system_fonts=False, render_timeout_s=PATIENT_S
    )
    made = built(settings)
    yield made
    end(made)


@pytest.fixture(scope="module")
def draw(app: Flask) -> Callable[..., Image.Image]:
    client = app.test_client()

    def asked(html: str, **options: object) -> Image.Image:
        query = {"html": html, "width": 200, "height": 120, **options}
        answer = client.post("/images/browser.png", json=query)
        assert answer.status_code == 200, answer.text
        image = Image.open(io.BytesIO(answer.data)).convert("RGBA")
        image.info["ignored"] = answer.headers.get("X-Html-Ignored", "")
        return image

    return asked


@pytest.fixture(params=[True, False], ids=["own network", "flags alone"])
def browser(request: pytest.FixtureRequest) -> Iterator[Chromium]:
    fonts = load_fonts(None, False).faces
    made = Chromium(CHROMIUM, fonts, 2 << 30, own_network=request.param)
    with closing(made):
        yield made


def processes(word: str) -> list[int]:
    """Return the processes whose command has a word."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (each / "cmdline").read_bytes():
                found.append(int(each.name))
        except OSError:
            continue
    return found


def test_text_flows_beside_a_float(draw):
    image = draw(FLOAT)

    assert image.getpixel((30, 30))[:3] == RED
    beside = image.crop((60, 0, 200, 60)).convert("L")
    assert beside.getextrema()[0] < 128
    assert image.info["ignored"] == ""


def test_a_page_has_columns(draw):
    image = draw("<div style='columns:2;column-gap:0;font-size:20px'>" + "word " * 20)

    left, right = image.crop((0, 0, 100, 60)), image.crop((100, 0, 200, 60))
    assert left.convert("L").getextrema()[0] < 128
    assert right.convert("L").getextrema()[0] < 128


def test_scripts_do_not_run_and_are_named(draw):
    document = "<body onload='document.body.style.background=\"red\"'>"
    document += "<script>document.body.style.background='red'</script>"

    image = draw(document)

    assert image.getpixel((100, 60))[:3] == WHITE
    assert "script" in image.info["ignored"]


@pytest.mark.parametrize(("scale", "size"), [(1.5, (499, 302)), (2, (666, 402))])
def test_every_pixel_is_the_pages_own_at_any_scale(draw, scale, size):
    # Found there: the last row and column were of the other side.
    document = "<div style='width:20px;height:100vh;background:red'>"

    image = draw(document, width=333, height=201, scale=scale)

    assert abs(image.width - size[0]) <= 1
    assert image.height == size[1]
    assert image.getpixel((image.width - 1, 100))[:3] == WHITE


def test_the_ground_may_be_transparent(draw):
    image = draw("<style>html{background:transparent}</style>")

    assert image.getpixel((100, 60))[3] == 0


def test_what_moves_is_shown_at_its_end_or_at_its_beginning(draw):
    css = "<style>@keyframes a{from{background:#fff}to{background:#f00}}"
    css += "div{height:60px;background:#00f}.e{animation:a 9s linear both}"
    css += ".i{animation:a 1s infinite}</style>"

    image = draw(f"{css}<div class=e></div><div class=i></div>")

    assert image.getpixel((100, 30))[:3] == RED
    assert image.getpixel((100, 90))[:3] == (0, 0, 255)


def test_equal_pages_are_equal_bytes_and_elements_may_have_any_name(browser):
    document = "<form name=fonts></form><form name=getAnimations></form>" + FLOAT
    made = []

    for _ in range(2):
        with browser.page(document, (200, 100), 1, PATIENT_S) as page:
            made.append(page.shoot())

    assert made[0] == made[1]


def test_a_font_in_the_page_draws_its_letters_in_a_browser_too(draw):
    css = f"@font-face{{font-family:a;src:{source(block_font({'A': 1.0}, 'woff2'))}}}"

    image = draw(f"<style>{css}p{{margin:0;font:100px/1 a}}</style><p>A")

    assert image.getpixel((50, 50)) == image.getpixel((5, 95)) == (0, 0, 0, 255)
    assert image.info["ignored"] == ""


ASKS = (
    "<img src=URL>",
    "<meta http-equiv=refresh content='0;url=URL'>",
    "<iframe src=URL></iframe>",
    "<iframe sandbox srcdoc='<img src=URL>'></iframe>",
    "<iframe src='data:text/html,<img src=URL>'></iframe>",
    "<style>@import 'URL'</style>",
    "<style>@font-face{font-family:x;src:url(URL)}body{font-family:x}</style>text",
    "<style>body{background:url(URL)}</style>",
    "<link rel=stylesheet href=URL>",
    "<link rel=prefetch href=URL>",
    "<link rel=preload as=image href=URL>",
    "<link rel=preconnect href=URL>",
    "<link rel=dns-prefetch href=URL>",
    "<link rel=icon href=URL>",
    "<link rel=manifest href=URL>",
    "<object data=URL></object><embed src=URL>",
    "<video src=URL poster=URL autoplay></video><audio src=URL autoplay></audio>",
    "<svg><image href=URL /><use href='URL#a' /></svg>",
    "<script>new RTCPeerConnection({iceServers:[{urls:'stun:HOST'}]})</script>",
    "<form action=URL><input autofocus></form>",
    "<a ping=URL href=URL>a</a>",
)


def test_no_host_is_asked(browser):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        every = [ask.replace("URL", f"http://{host}/x") for ask in ASKS]

        for document in (*every, "".join(every)):
            with browser.page(
                document.replace("HOST", host), (200, 200), 1, PATIENT_S
            ) as page:
                page.shoot()
        time.sleep(0.3)

        with pytest.raises(BlockingIOError):
            listening.accept()
        assert f"http://{host}/x" in page.refused


def test_what_is_not_fetched_is_named_and_strict_refuses_it(app, draw):
    document = "<img src='https://example.com/a.png'><img src=b.png>"

    ignored = draw(document).info["ignored"]
    strict = app.test_client().post(
        "/images/browser.png", json={"html": document, "strict": True}
    )

    assert "https://example.com/a.png is not fetched" in ignored
    assert "b.png is not fetched" in ignored
    assert strict.status_code == 422
    assert strict.get_json()["field"] == "html"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "file:///proc/self/environ"])
def test_no_file_is_shown(draw, url):
    frame = "style='position:absolute;inset:0;width:200px;height:120px;border:0'"

    image = draw(f"<iframe {frame} src='{url}'></iframe><object {frame} data='{url}'>")

    assert image.convert("RGB").getextrema() == ((255, 255),) * 3
    assert url in image.info["ignored"]


def test_nothing_of_the_environment_is_handed_on(browser, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    with browser.page(FLOAT, (200, 100), 1, PATIENT_S):
        folder = str(browser.folder)
        found = processes(folder)
        environs = [Path(f"/proc/{pid}/environ").read_bytes() for pid in found]

    assert len(found) > 2
    assert all(SECRET.encode() not in each for each in environs)


def test_nothing_is_left_when_it_is_closed(browser):
    with browser.page(FLOAT, (200, 100), 1, PATIENT_S):
        folder = browser.folder

    browser.close()

    wait_until(lambda: not processes(str(folder)), PATIENT_S)
    assert not folder.exists()


def test_a_browser_that_is_killed_is_begun_anew(browser):
    with browser.page(FLOAT, (200, 100), 1, PATIENT_S) as page:
        first = page.shoot()
    for pid in processes(f"--user-data-dir={browser.folder}"):
        os.kill(pid, signal.SIGKILL)

    with (
        pytest.raises(BrowserDied),
        browser.page(FLOAT, (200, 100), 1, PATIENT_S),
    ):
        pass
    with browser.page(FLOAT, (200, 100), 1, PATIENT_S) as page:
        again = page.shoot()

    assert again == first


def test_memory_is_bounded():
    fonts = load_fonts(None, False).faces
    many = "<div style='filter:blur(9px);width:9000px;height:9000px;"
    many += "will-change:transform;background:linear-gradient(red,blue)'>"
    with (
        closing(Chromium(CHROMIUM, fonts, 512 << 20)) as small,
        pytest.raises(BrowserDied),
        small.page(many * 40, (4000, 4000), 1, PATIENT_S) as page,
    ):
        page.shoot()


HOSTILE = {
    "endless animations": "<style>@keyframes a{to{transform:rotate(1turn)}}"
    "i{animation:a .1s infinite}</style>" + "<i>a</i>" * 5000,
    "deep": "<div>" * 40_000,
    "huge": "<div style='width:9999999px;height:9999999px;background:red'>a</div>",
    "tables": "<table><tr><td>" * 3000,
    "refresh": "<meta http-equiv=refresh content='0'>" + FLOAT,
    "itself": "<iframe src='http://page.invalid/'></iframe>" * 20,
    "frames": "<iframe srcdoc='a'></iframe>" * 200,
}


def test_hostile_pages_end_in_time_and_others_are_drawn(tmp_path):
    settings = Settings(store="none", system_fonts=False, render_timeout_s=20.0)
    app = built(settings)
    client = app.test_client()
    try:
        for name, html in HOSTILE.items():
            answer = client.post("/images/browser.png", json={"html": html})
            assert answer.status_code in (200, 422), (name, answer.text)
        long = client.post("/images/browser.png", json={"html": "a" * 300_000})
        after = client.post("/images/browser.png", json={"html": FLOAT})
    finally:
        end(app)

    assert long.status_code == 422
    assert long.get_json()["limit"] == "MIMEO_MAX_HTML_BYTES"
    assert after.status_code == 200


def test_a_page_that_never_ends_is_a_4xx_and_the_next_is_drawn(tmp_path):
    # Layout of nested flex boxes takes time by a power of their depth.
    slow = "<style>" + "".join(
        f"body:has(p:nth-child({n}) ~ p:nth-last-child({n})) p{{color:#{n:03}}}"
        for n in range(100, 999)
    )
    slow += "</style>" + "<p>a" * 20_000
    settings = Settings(store="none", system_fonts=False, render_timeout_s=HASTY_S)
    app = built(settings)
    client = app.test_client()
    try:
        stopped = client.post("/images/browser.png", json={"html": slow})
        answers = []

        def drawn() -> bool:
            # A browser that has just begun may be slow itself.
            answers.append(client.post("/images/browser.png", json={"html": FLOAT}))
            return answers[-1].status_code == 200

        wait_until(drawn, PATIENT_S)
    finally:
        end(app)

    assert stopped.status_code == 422, stopped.text
    assert stopped.get_json()["type"] == "/problems/render-timeout"


def test_requests_at_one_moment_are_all_drawn(app):
    def ask(number: int) -> int:
        html = f"<p>{number}</p>{FLOAT}"
        answer = app.test_client().post("/images/browser.png", json={"html": html})
        return answer.status_code

    with ThreadPoolExecutor(6) as threads:
        # Each waits its turn for `queue_timeout_s` at most.
        assert set(threads.map(ask, range(6))) <= {200, 503}


def test_a_collection_of_pages_is_a_zip(app):
    rows = b"html,width\n<p>one,100\n<p>two,120\n"
    client = app.test_client()

    made = client.post(
        "/collections?renderer=browser", data=rows, content_type="text/csv"
    )
    with client.get(made.headers["Location"] + ".zip") as answer:
        archive = zipfile.ZipFile(io.BytesIO(answer.data))

    pictures = [name for name in archive.namelist() if name.endswith(".png")]
    sizes = [Image.open(archive.open(name)).width for name in pictures]
    assert sizes == [100, 120]


PARENT = """
import sys, time
from pathlib import Path
from app.renderer.engine.fonts import load_fonts
from app.renderer.sandbox.chromium import Chromium
browser = Chromium(Path(sys.argv[1]), load_fonts(None, False).faces, 2 << 30)
with browser.page("<p>a", (100, 100), 1, 120):
    print(browser.folder, flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_of_a_server_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(CHROMIUM)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        folder = parent.stdout.readline().strip()
        assert len(processes(folder)) > 2

        parent.kill()

    wait_until(lambda: not processes(folder), PATIENT_S)
    assert not Path(folder).exists()


def test_nothing_is_left_where_its_keeper_is_killed(browser):
    with pytest.raises(BrowserDied), browser.page(FLOAT, (9, 9), 1, PATIENT_S) as page:
        folder = str(browser.folder)
        [keeper] = set(processes("keeper.py")) & set(processes(folder))
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: not processes(folder), PATIENT_S)
        page.shoot()

    assert not Path(folder).exists()


def test_a_browser_that_does_not_start_is_a_503(tmp_path):
    broken = tmp_path / "chromium"
    broken.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo Chromium 1.2.3.4\nexit 1\n"
    )
    broken.chmod(0o755)
    settings = Settings(store="none", system_fonts=False, browser=broken)
    app = create_app(replace(settings, local_callers=True))
    try:
        client = app.test_client()
        answers = [client.get("/images/browser.png?html=a") for _ in range(2)]
    finally:
        end(app)

    assert [each.status_code for each in answers] == [503, 503]
    assert answers[0].get_json()["type"] == "/problems/browser-unavailable"
    assert "Retry-After" in answers[0].headers
    assert BrowserUnavailable.transient


def test_it_is_off_unless_it_is_set():
    assert Settings.from_env({}).browser is None
    assert Settings.from_env({"MIMEO_BROWSER": "off"}).browser is None
    assert Settings.from_env({"MIMEO_BROWSER": str(CHROMIUM)}).browser is not None
    with pytest.raises(BadSetting, match="MIMEO_BROWSER"):
        Settings.from_env({"MIMEO_BROWSER": "/no/such/program"})


def test_memory_for_it_is_counted():
    plain = Settings(memory_bytes=2 << 30, workers=8)

    without, with_it = budget_of(plain), budget_of(replace(plain, browser=CHROMIUM))

    assert with_it.workers < without.workers
