"""What the studio says of the server: renderers, what is broken, health, jobs."""

import pytest


@pytest.fixture
def gallery(opened, server):
    headers = {"Content-Type": "text/csv", "Prefer": "respond-async, wait=20"}
    server.ask("/collections?renderer=solid", "POST", b"color\nteal\n", headers)
    page = opened("/studio#/gallery")
    page.wait_for_selector(".recent li")
    return page


def test_what_is_broken_and_how_the_server_is_are_said(gallery):
    page = gallery
    page.wait_for_selector("[aria-label=Services] dd")

    assert page.inner_text(".broken").startswith("oops is broken.")
    assert "oops/parameters.toml" in page.inner_text(".broken code")
    assert page.inner_text("[aria-label=Server] dd.well").strip() == "ready"
    assert "painter" in page.inner_text("[aria-label=Services]")
    assert page.inner_text(".recent li").endswith("succeeded")


def test_a_service_is_not_asked_for_a_preview(opened):
    page = opened("/studio#/make/painter")
    page.wait_for_selector(".over")
    page.wait_for_selector("[data-field=prompt]")
    page.fill("[data-field=prompt] textarea, [data-field=prompt] input", "A sea")
    page.wait_for_function("() => location.hash.includes('A+sea')")
    page.wait_for_selector("#snippet")

    asked = [url for url, _ in page.watched.sizes if "/images/painter" in url]
    assert asked == []
    assert "prompt=A+sea" in page.inner_text("#snippet")


def test_each_renderer_leads_to_its_form(opened):
    page = opened("/studio#/gallery")
    page.click(".tile:has(code:text-is('qr'))")
    page.wait_for_selector("[data-field=level]")

    assert "#/make/qr" in page.url


def test_the_front_page_leads_to_the_studio(opened):
    page = opened("/")
    page.click("text=Open the studio")
    page.wait_for_selector("#preview")

    assert page.title().startswith("Make one")


@pytest.mark.parametrize(
    ("path", "scheme"), [("/", "light"), ("/studio#/gallery", "dark")]
)
def test_nothing_serious_keeps_anybody_out_of_the_gallery(opened, path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(path, color_scheme=scheme, viewport={"width": 390, "height": 844})
    page.wait_for_selector(".tile")

    found = axe.Axe().run(page).response["violations"]

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
