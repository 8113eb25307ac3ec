"""One picture in the studio: typed, seen, copied, shared."""

import re
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from app.access.keys import digest_of
from tests.gunicorn_server import serve
from tests.studio.conftest import PATIENCE

# Bytes of all answers, heads included, until the first picture is there.
MOST_BYTES = 200_000
TABLE = {"name": "t.csv", "mimeType": "text/csv", "buffer": b"name\nAda\n"}
TITLE = "[data-field=title] textarea"
KEY = f"mim_abcd1234_{'x' * 43}"
NEW = "f => document.querySelector('#preview').src !== f"


def source(page) -> str:
    return page.get_attribute("#preview", "src")


def type_title(page, text: str) -> None:
    before = source(page)
    page.fill(TITLE, text)
    page.wait_for_function(NEW, arg=before)


def snippet(page, name: str) -> str:
    page.get_by_role("tab", name=name, exact=True).click()
    return page.inner_text("#snippet")


def test_the_first_picture_comes_with_few_bytes(opened):
    page = opened()
    page.wait_for_selector("#preview")
    # The browser tells of the end of a request after it has shown the picture.
    page.wait_for_load_state("networkidle")

    spent = sum(size for _, size in page.watched.sizes)

    assert any("/images/card.png" in url for url, _ in page.watched.sizes)
    assert spent < MOST_BYTES, page.watched.sizes


def test_the_picture_changes_with_what_is_typed(page):
    type_title(page, "Typed in the studio")

    assert "title=Typed+in+the+studio" in page.url
    assert page.inner_text("#bytes").split()[1] == "KB"
    assert page.evaluate("document.querySelector('#preview').naturalWidth") == 1200


def test_a_problem_stands_beside_its_field_over_the_last_picture(page):
    before = source(page)

    page.fill(TITLE, "")
    page.wait_for_selector("[data-field=title] .fault")

    assert page.inner_text("[data-field=title] .fault") == "is required"
    assert "title: is required" in page.inner_text(".over")
    assert source(page) == before


def test_what_is_shared_is_what_was_made(page, opened):
    type_title(page, "Shared & opened")
    page.check("input[value=webp]")
    page.wait_for_function("() => location.hash.includes('format=webp')")

    other = opened("/studio" + page.evaluate("location.hash"))
    other.wait_for_selector("#preview")

    assert other.input_value(TITLE) == "Shared & opened"
    assert other.is_checked("input[value=webp]")


def test_only_what_differs_from_defaults_is_copied(page):
    page.select_option("[data-field=theme] select", "light")
    page.get_by_role("button", name="Clear").click()
    type_title(page, "Plain")

    assert snippet(page, "URL").endswith("/images/card.png?title=Plain")


@pytest.mark.parametrize(
    "title", ['It\'s "quoted" & <b>100 %</b> \\n', "Zoë 🦊 $HOME `x`"]
)
def test_commands_that_are_copied_make_the_picture(page, tmp_path, title):
    type_title(page, title)
    page.check("input[value=webp]")
    made = {}
    for name, command in (("curl", ["sh", "-c"]), ("Python", [sys.executable, "-c"])):
        folder = tmp_path / name
        folder.mkdir()
        text = snippet(page, name)
        subprocess.run([*command, text], cwd=folder, check=True, capture_output=True)
        made[name] = (folder / "card.webp").read_bytes()

    url = snippet(page, "URL")
    answer = page.request.get(url)

    assert answer.headers["content-type"] == "image/webp"
    assert made["curl"] == made["Python"] == answer.body()


def test_commands_send_the_picture_that_was_chosen(page, tmp_path):
    photo = tmp_path / 'my "photo", 1.png'
    Image.new("RGB", (40, 40), "teal").save(photo)
    before = source(page)
    page.set_input_files("[data-field=image] input[type=file]", photo)
    page.wait_for_function(NEW, arg=before)

    subprocess.run(["sh", "-c", snippet(page, "curl")], cwd=tmp_path, check=True)
    drawn = (tmp_path / "card.png").read_bytes()
    text = snippet(page, "Python")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text], cwd=tmp_path, check=True
    )

    assert drawn == (tmp_path / "card.png").read_bytes()
    assert snippet(page, "URL").startswith("A URL cannot be given")


def test_a_script_in_a_parameter_is_text(page):
    evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    type_title(page, evil)
    page.get_by_role("tab", name="Social previews").click()
    page.wait_for_selector(".social")

    assert page.inner_text(".wide .frame b") == evil
    assert page.title().startswith("Make one")


def test_the_page_runs_nothing_but_its_own_files(server):
    policy = server.ask("/studio").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert server.ask("/").headers["Content-Security-Policy"] == policy


def test_files_are_sent_anew_only_where_they_changed(server):
    first = server.ask("/studio/main.js")
    again = server.ask(
        "/studio/main.js", headers={"If-None-Match": first.headers["ETag"]}
    )

    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert again.status == 304
    assert server.ask("/studio/../gate.py").status == 404


def test_a_renderer_is_picked_by_keyboard(page):
    page.focus(".picked")
    page.keyboard.press("Enter")
    page.get_by_label("Search renderers").fill("qr code")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-field=level]")
    page.wait_for_selector("#preview")

    assert re.search(r"#/make/qr(\?|$)", page.url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_serious_keeps_anybody_out(opened, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.wait_for_selector("#preview")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    found = axe.Axe().run(page).response["violations"]

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []


@pytest.mark.parametrize("width", [390, 800, 1300])
def test_nothing_sticks_out_of_the_window(opened, width):
    page = opened(viewport={"width": width, "height": 844})
    page.wait_for_selector("#preview")

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_key_is_asked_for_and_kept_for_the_session(opened, tmp_path):
    row = (
        f'[keys.abcd1234]\nsha256 = "{digest_of(KEY)}"\n'
        'scopes = ["draw:*", "jobs", "read"]\n'
    )
    settings = {
        "MIMEO_ACCESS": "keys",
        "MIMEO_LOCAL_CALLERS": "off",
        "MIMEO_KEYS": row,
        "MIMEO_STORE": str(tmp_path / "store"),
        "WEB_CONCURRENCY": "1",
    }
    with serve(settings=settings) as closed:
        page = opened(url=closed.url)
        page.wait_for_selector(".key")
        page.fill(".key input", KEY)
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector("#preview", timeout=PATIENCE)

        kept = page.evaluate("[sessionStorage.length, localStorage.length]")
        copied = snippet(page, "curl")
        page.click("text=Make many")
        page.set_input_files(".drop.large input", [TABLE])
        page.click(".take .primary:not([aria-disabled])")
        page.wait_for_selector(".job[data-state=succeeded]")
        with page.expect_download() as begun:
            page.click(".job .button")
        names = zipfile.ZipFile(begun.value.path()).namelist()
        page.close()

    assert names == ["00001.png", "manifest.json"]
    assert kept == [1, 0]
    assert "$MIMEO_KEY" in copied
    assert KEY not in copied


def test_a_name_that_nobody_knows_is_refused_by_the_server(opened):
    page = opened("/studio#/make/card?title=Hello&colour=red")
    page.wait_for_selector(".over")

    assert "colour: is not known" in page.inner_text(".over")

    page.get_by_role("button", name="Fill in the example").click()
    page.wait_for_selector("#preview")
    assert page.locator(".over").count() == 0


def test_a_busy_server_is_asked_again(opened):
    page = opened("/studio#/make/solid")
    page.wait_for_selector("#preview")
    refusals = iter([True])
    head = {"Retry-After": "1", "Content-Type": "application/problem+json"}

    def answer(route):
        if next(refusals, False):
            route.fulfill(status=503, headers=head, body='{"title": "Busy"}')
        else:
            route.continue_()

    page.route("**/images/solid.png?*", answer)
    before = source(page)
    page.fill("[data-field=width] input", "321")
    page.wait_for_selector(".over")
    page.wait_for_function(NEW, arg=before)

    assert page.locator(".over").count() == 0
    assert page.evaluate("document.querySelector('#preview').naturalWidth") == 321


def test_a_download_that_cannot_be_is_reached_and_says_why(page):
    page.fill(TITLE, "")
    page.wait_for_selector(".over")
    button = page.get_by_role("button", name="Download PNG")

    button.focus()

    described = button.get_attribute("aria-describedby")
    assert page.inner_text(f"#{described}") == "What is wrong has to be mended first."
    assert button.evaluate("e => e === document.activeElement")


def test_a_picture_that_was_drawn_is_told_to_who_cannot_see_it(page):
    page.wait_for_selector(".stage [role=status]:has-text('1200')", state="attached")

    said = page.text_content(".stage [role=status]")

    assert said == "Drawn: 1200 \u00d7 630 pixels"
