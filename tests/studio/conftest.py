"""A browser, a server, and a page that may speak to no other host."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gunicorn_server import Server, serve

CHROMIUM = Path("/usr/bin/chromium")
# Milliseconds: the machine may have other work.
PATIENCE = 30_000
BROKEN = '[parameters.title]\ntype = "no such"\n'
SERVICE = '[upstreams.painter]\nkind = "auto"\nurl = "http://127.0.0.1:9"\n'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say why nothing is seen of a page where there is no browser."""
    if CHROMIUM.is_file():
        return
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=f"there is no {CHROMIUM}"))


@pytest.fixture(scope="package")
def browser():
    # A loop runs in this thread meanwhile: no longer than for these tests.
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # Without a sandbox of its own: tests may run as root, and read one host.
        made = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield made
        made.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a template that is broken, and a service that is not there."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "templates" / "oops").mkdir(parents=True)
    (folder / "templates" / "oops" / "parameters.toml").write_text(BROKEN)
    services = folder / "services.toml"
    services.write_text(SERVICE)
    settings = {
        "MIMEO_STORE": str(folder / "store"),
        "MIMEO_TEMPLATES": str(folder / "templates"),
        "MIMEO_UPSTREAMS": str(services),
        "WEB_CONCURRENCY": "1",
    }
    with serve(settings=settings) as made:
        yield made


class Watched:
    """What a page has asked for, and what went wrong in it."""

    def __init__(self, page, url: str) -> None:
        self.asked: list[str] = []
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.sizes: list[tuple[str, int]] = []
        self._url = url
        page.on("request", self._asked)
        page.on("requestfinished", self._finished)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._said)

    def _asked(self, request) -> None:
        self.asked.append(request.url)
        if not request.url.startswith((self._url, "blob:", "data:")):
            self.foreign.append(request.url)

    def _finished(self, request) -> None:
        if request.url.startswith(self._url):
            sizes = request.sizes()
            both = sizes["responseBodySize"] + sizes["responseHeadersSize"]
            self.sizes.append((request.url, both))

    def _said(self, message) -> None:
        # The browser says every 4xx itself; what the page makes of it is tested.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


@pytest.fixture
def editor(opened, tmp_path: Path) -> Iterator[Callable[..., tuple[object, Server]]]:
    """Opens the editor of a server that keeps templates, under a name; gives both."""
    with ExitStack() as ending:

        def open_editor(name: str, workers: int = 1) -> tuple[object, Server]:
            settings = {
                "MIMEO_STORE": str(tmp_path / "store"),
                "MIMEO_TEMPLATE_EDITING": "on",
                "WEB_CONCURRENCY": str(workers),
            }
            made = ending.enter_context(serve(settings=settings))
            page = opened("/studio#/own/ticket", url=made.url)
            # Before its server ends.
            ending.callback(page.close)
            page.wait_for_selector("[data-length=japanese] img")
            page.get_by_label("Name").fill(name)
            page.get_by_role("button", name="Save").click()
            return page, made

        yield open_editor


@pytest.fixture
def opened(browser, server) -> Iterator[Callable[..., object]]:
    """Opens pages of the server, and asks at the end that none spoke elsewhere."""
    contexts, watched = [], []

    def open_page(path: str = "/studio", url: str = server.url, **options: object):
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.watched = Watched(page, url)
        watched.append(page.watched)
        page.goto(url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each.foreign for each in watched] == [[] for _ in watched]
    assert [each.errors for each in watched] == [[] for _ in watched]


@pytest.fixture
def page(opened):
    """The studio, with its first picture."""
    made = opened()
    made.wait_for_selector("#preview")
    return made
