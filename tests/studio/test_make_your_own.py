"""A template in the studio: written, mended, seen with texts of several lengths."""

import zipfile

import pytest
from playwright.sync_api import expect

TEXT = ".cm-content"
LENGTHS = ["short", "example", "longest", "arabic", "japanese"]
PLACE = "/studio#/own/ticket"


@pytest.fixture
def page(opened):
    """The editor, with its first pictures."""
    made = opened(PLACE)
    made.wait_for_selector("[data-length=japanese] img")
    return made


def write(page, text: str) -> None:
    """Put text at the end of what is open."""
    page.click(TEXT)
    page.keyboard.press("Control+End")
    page.keyboard.insert_text(text)


def picture(page, length: str = "example") -> str:
    return page.get_attribute(f"[data-length={length}] img", "src")


def test_a_mistake_stands_at_its_line_and_is_mended(page):
    before = picture(page)
    sent = page.request.get(page.url.partition("/studio")[0] + "/templates/ticket")
    lines = sent.json()["files"]["template.html"].count("\n") + 1

    write(page, "<p>{{ nonsense }}</p>")
    page.wait_for_selector(".cm-content .said")

    assert "'nonsense' is not a parameter" in page.inner_text(".cm-content .said")
    assert "nonsense" in page.inner_text(".cm-line.wrong")
    said = page.inner_text(".written [role=alert]")
    assert f"template.html, line {lines}" in said
    assert picture(page) == before

    for _ in range(len("<p>{{ nonsense }}</p>")):
        page.keyboard.press("Backspace")
    page.keyboard.insert_text(
        '<b style="position: absolute; left: 0; top: 0">Mended</b>'
    )
    page.wait_for_selector(".cm-content .said", state="detached")
    page.wait_for_function(
        "old => document.querySelector('[data-length=example] img').src !== old",
        arg=before,
    )

    assert page.locator(".written [role=alert]").count() == 0


def test_a_mistake_of_the_parameters_leads_there(page):
    page.get_by_role("tab", name="parameters.toml").click()
    write(page, '\n[parameters.more]\ntype = "no such"\n')
    page.wait_for_selector(".cm-content .said")
    page.get_by_role("tab", name="template.html").click()
    assert page.locator(".cm-content .said").count() == 0

    page.click(".written [role=alert] button")

    assert "of 'more'" in page.inner_text(".cm-content .said")


def test_texts_of_several_lengths_are_seen_at_once(page):
    shown = page.locator("[data-length]")

    assert [each.get_attribute("data-length") for each in shown.all()] == LENGTHS
    sources = {picture(page, length) for length in LENGTHS}
    assert len(sources) == 5
    for length in LENGTHS:
        script = f"document.querySelector('[data-length={length}] img').naturalWidth"
        assert page.evaluate(script) == 825


def test_boxes_are_outlined_and_fit_is_shown(page):
    before = picture(page)

    page.get_by_label("Outline boxes").check()
    page.wait_for_function(
        "old => document.querySelector('[data-length=example] img').src !== old",
        arg=before,
    )
    page.click("[data-length=longest] summary")

    assert "px" in page.inner_text("[data-length=longest] table")


def test_it_starts_from_any_template(page):
    page.get_by_label("Start from").select_option("certificate")
    page.wait_for_function("() => location.hash === '#/own/certificate'")
    page.wait_for_selector("[data-length=japanese] img")
    page.get_by_role("tab", name="Pictures").click()

    assert page.get_by_label("Name").input_value() == "my-certificate"
    assert '<img src="seal.svg">' in page.inner_text(".pictures")


def test_it_is_taken_away_as_a_folder(page):
    write(page, "\n<!-- mine -->")
    page.get_by_label("Name").fill("summer")

    with page.expect_download() as begun:
        page.get_by_role("button", name="Download ZIP").click()

    assert begun.value.suggested_filename == "summer.zip"
    with zipfile.ZipFile(begun.value.path()) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files["summer/template.html"].endswith("<!-- mine -->")
    assert "[parameters.event]" in files["summer/parameters.toml"]


def test_what_is_saved_is_drawn_and_replaced_by_a_version(editor):
    page, server = editor("summer")
    page.wait_for_selector("text=Saved as summer@1")
    write(page, "<p>More</p>")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=Saved as summer@2")

    # Whoever has not seen it writes over nothing.
    page.get_by_label("Name").fill("card")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(".written .fault")
    drawn = server.ask("/images/summer.png?event=Hello")

    assert drawn.status == 200


def test_a_name_that_no_folder_may_have_is_not_taken(page):
    page.get_by_label("Name").fill("../evil")

    assert page.get_by_role("button", name="Download ZIP").is_disabled()
    assert "a to z" in page.inner_text(".own-head .fault")


def test_the_editor_is_loaded_when_it_is_opened(opened):
    page = opened()
    page.wait_for_selector("#preview")
    page.wait_for_load_state("networkidle")
    assert not [url for url in page.watched.asked if "codemirror" in url]

    page.click("text=Make your own")
    page.wait_for_selector(TEXT)
    page.wait_for_load_state("networkidle")

    assert [url for url in page.watched.asked if "codemirror-view" in url]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_serious_keeps_anybody_out(opened, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(PLACE, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.wait_for_selector("[data-length=japanese] img")
    write(page, "\n{{ nonsense }}")
    page.wait_for_selector(".cm-content .said")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    found = axe.Axe().run(page).response["violations"]

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_was_written_is_taken_back_after_another_start(page):
    write(page, "\n<!-- mine -->")
    page.get_by_label("Start from").select_option("certificate")
    page.wait_for_selector("text=What you had written from ticket")

    focused = "document.activeElement.value"
    assert page.evaluate(focused) == "certificate"
    page.get_by_role("button", name="Take it back").click()

    assert page.get_by_label("Name").input_value() == "my-ticket"
    page.click(TEXT)
    page.keyboard.press("Control+End")
    assert "<!-- mine -->" in page.inner_text(TEXT)


def test_nothing_is_said_of_what_was_not_written(page):
    page.get_by_label("Start from").select_option("certificate")
    page.wait_for_function("() => location.hash === '#/own/certificate'")
    page.wait_for_selector("[data-length=japanese] img")

    assert page.locator(".undo").count() == 0


def test_the_button_of_a_mistake_leads_to_its_line(page):
    write(page, "\n<p>{{ nonsense }}</p>")
    page.wait_for_selector(".cm-content .said")
    page.get_by_role("tab", name="parameters.toml").click()

    page.get_by_role("button", name="Go to template.html, line").click()
    page.wait_for_selector(".cm-line.wrong")
    page.keyboard.insert_text("here")

    assert page.inner_text(".cm-line.wrong").startswith("here<p>")


def test_text_that_is_pushed_out_of_the_picture_is_told(page):
    write(page, '\n<p style="position: absolute; top: 2000px">Far below</p>')
    page.wait_for_selector("text=Reaches out of the picture: “Far below”")

    assert "with a remark" in page.inner_text(".previews-head [role=status]")


def test_what_was_wrong_with_saving_is_not_said_of_another_name(editor):
    page, _ = editor("card")
    page.wait_for_selector(".written [role=alert]")

    page.get_by_label("Name").fill("summer")
    page.wait_for_selector(".written [role=alert]", state="detached")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="summer@1").click()
    page.wait_for_selector("#preview")

    assert page.evaluate("document.activeElement.localName") == "main"


def test_what_was_written_is_there_after_a_look_at_another_tab(page):
    page.select_option(".own-head select", "badge")
    expect(page.get_by_label("Name")).to_have_value("my-badge")
    page.get_by_label("Name").fill("ours")
    write(page, "\n<!-- mine -->")

    page.get_by_role("link", name="Gallery", exact=True).click()
    page.wait_for_selector(".own", state="detached")
    page.get_by_role("link", name="Make your own", exact=True).click()
    page.wait_for_selector(TEXT)

    assert page.input_value(".own-head select") == "badge"
    assert page.input_value(".own-head input") == "ours"
    # What is far from the cursor is not in the page.
    page.click(TEXT)
    page.keyboard.press("Control+End")
    expect(page.locator(TEXT)).to_contain_text("<!-- mine -->")
    assert page.get_by_text("Take it back").count() == 0
