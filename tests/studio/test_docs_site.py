"""The documents at `/docs`: built without a warning, found, read, under the policy."""

import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from tests.gunicorn_server import Server, serve

ROOT = Path(__file__).parent.parent.parent
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
# Where a file that the README names is in the site; others are by their place in docs.
PAGES = {
    "CHANGELOG.md": "project/changelog.html",
    "CONTRIBUTING.md": "project/contributing.html",
    "SECURITY.md": "project/security.html",
    "benchmarks/README.md": "project/benchmarks.html",
}


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    """A server with the documents as they are now; a warning stops their building."""
    done = subprocess.run(["bin/docs", "--once"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    with serve(settings={"WEB_CONCURRENCY": "1"}) as made:
        yield made


class Links(HTMLParser):
    """What a page links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._page = page

    def handle_starttag(self, tag: str, attrs) -> None:
        target = dict(attrs).get("href")
        if tag == "a" and target:
            self.found.add(urldefrag(urljoin(self._page, target))[0])


def links(server: Server, path: str) -> set[str]:
    """Return the paths of this server that a page links to."""
    reply = server.ask(path)
    if not reply.headers.get("Content-Type", "").startswith("text/html"):
        return set()
    parser = Links(server.url + path)
    parser.feed(reply.body.decode())
    return {urlsplit(u).path for u in parser.found if u.startswith(server.url + "/")}


def test_all_that_the_readme_promises_is_two_clicks_from_the_documents(site):
    first = links(site, "/docs/")
    reached = first.union(*(links(site, path) for path in first))

    promised = {f"/docs/{page(target)}" for target in readme_links()}
    promised |= {"/studio", "/docs/api", "/openapi.json", "/renderers", "/fonts"}
    assert promised - reached == set()


def readme_links() -> set[str]:
    found = LINK.findall((ROOT / "README.md").read_text())
    # Sphinx puts what is no document where its digest says.
    return {name for name in found if name.endswith(".md")}


def page(name: str) -> str:
    return PAGES.get(name) or f"{name.removeprefix('docs/').removesuffix('.md')}.html"


def test_no_link_of_the_documents_is_broken(site):
    seen: set[str] = set()
    waiting = {"/docs/"}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        reply = site.ask(path, headers={"Accept-Encoding": "gzip"})
        assert reply.status == 200, path
        if path.startswith("/docs/") and not path.startswith("/docs/api"):
            waiting |= links(site, path) - seen

    assert len(seen) > len([*(ROOT / "docs").rglob("*.md")])


def test_what_is_searched_for_is_found(opened, site):
    page = opened("/docs/how-to/jobs.html", url=site.url)
    page.get_by_role("textbox", name="Search").fill("webhook")

    page.keyboard.press("Enter")

    page.wait_for_selector("#search-results .search li a >> nth=3")
    assert "Be told when a job has ended" in page.inner_text("#search-results")


def test_who_prefers_dark_gets_it_on_the_next_page_too(opened, site):
    page = opened("/docs/", url=site.url, color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    while page.evaluate("document.body.dataset.theme") != "dark":
        page.locator(".theme-toggle-content .theme-toggle").click()

    page.goto(f"{site.url}/docs/how-to/jobs.html")

    assert page.evaluate("document.body.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1300)])
@pytest.mark.parametrize("path", ["", "how-to/jobs.html", "reference/http.html"])
def test_nothing_serious_keeps_anybody_out(opened, site, scheme, width, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(
        f"/docs/{path}",
        url=site.url,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )

    found = axe.Axe().run(page).response["violations"]

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_is_found_without_its_ending_and_the_start_without_its_slash(site):
    start, bare = site.ask("/docs"), site.ask("/docs/how-to/jobs")

    assert (start.status, start.headers["Location"]) == (308, "docs/")
    assert (bare.status, bare.headers["Location"]) == (308, "jobs.html")
    assert site.ask("/docs/no-such-page").status == 404


@pytest.mark.parametrize("path", ["/docs/", "/openapi.json", "/studio/main.js"])
def test_pages_are_sent_in_gzip_where_it_is_accepted(site, path):
    packed = site.ask(path, headers={"Accept-Encoding": "gzip, br"})
    plain = site.ask(path, headers={"Accept-Encoding": "gzip;q=0"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    curled = site.curl(path, "--compressed")
    assert curled.stdout == plain.body
    for reply, wish in ((packed, "gzip"), (plain, "identity")):
        again = {"If-None-Match": reply.headers["ETag"], "Accept-Encoding": wish}
        assert site.ask(path, headers=again).status == 304
