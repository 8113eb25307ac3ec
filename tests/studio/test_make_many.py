"""Many pictures in the studio: a table, its columns, its rows, and the job."""

import io
import zipfile

import pytest
from openpyxl import Workbook
from playwright.sync_api import expect

from tests.studio.conftest import PATIENCE

HEADER = ("Full name", "Position", "Company")
GUESTS = [("Ada Lovelace", "Analyst", "Engines"), ("Grace Hopper", "Admiral", "Navy")]


@pytest.fixture
def many(opened):
    page = opened("/studio#/many/badge")
    page.wait_for_selector(".drop.large")
    return page


def workbook(*rows: tuple[str, ...]) -> dict[str, object]:
    book = Workbook()
    book.active.append(HEADER)
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return file_of("guests.xlsx", buffer.getvalue())


def file_of(name: str, data: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def drop(page, file: dict[str, object]) -> None:
    page.set_input_files(".drop.large input", [file])
    page.wait_for_selector(".rows[aria-busy=false] h2")


def make(page) -> None:
    page.click(".take .primary:not([aria-disabled])")
    page.wait_for_selector(".job")


def archive(page) -> zipfile.ZipFile:
    page.wait_for_selector(".job[data-state=succeeded]", timeout=3 * PATIENCE)
    with page.expect_download() as begun:
        page.click(".job .button")
    return zipfile.ZipFile(begun.value.path())


def test_what_is_wrong_with_a_row_stands_beside_it(many):
    drop(many, workbook(GUESTS[0], ("", "Guest", "Acme"), GUESTS[1]))

    assert many.input_value("[data-field=name] select") == "column 0"
    assert many.input_value("[data-field=company] select") == "column 2"
    assert many.inner_text("#wrong") == "1 is not"
    # The sheet's own row: the header is its first.
    assert many.inner_text("tr.wrong th") == "3"
    assert many.inner_text("tr.said-below").strip() == "Name: is required"
    assert many.locator(".contact img").count() == 2
    assert many.is_disabled(".take .primary")


def test_a_table_becomes_an_archive(many):
    drop(many, workbook(*GUESTS))
    many.select_option("[data-field=role] select", label="Position")
    many.select_option("[data-field=event] select", "same")
    many.fill("[data-field=event] input", "Day {1}")
    many.fill(".pair input", "{index}-{Full name}")
    many.wait_for_selector(".rows[aria-busy=false]")
    make(many)

    with archive(many) as made:
        names = made.namelist()

    assert names == [
        "00001-Ada-Lovelace.png",
        "00002-Grace-Hopper.png",
        "manifest.json",
    ]
    assert many.inner_text(".job [role=status]") == "Done: 2 of 2"


def test_a_job_goes_on_when_the_page_is_closed(many, server, opened):
    rows = "".join(f"Guest {number},Speaker\n" for number in range(300))
    drop(many, file_of("crowd.csv", f"name,role\n{rows}".encode()))
    make(many)
    context = many.context

    many.close()
    again = context.new_page()
    again.goto(f"{server.url}/studio#/many")
    again.wait_for_selector(".job")

    assert "crowd.csv" in again.inner_text(".job")
    with archive(again) as made:
        assert len(made.namelist()) == 301


def test_a_job_is_cancelled(many):
    rows = "".join(f"Guest {number},Speaker\n" for number in range(1000))
    drop(many, file_of("crowd.csv", f"name,role\n{rows}".encode()))
    make(many)

    many.get_by_role("button", name="Cancel").click()
    many.wait_for_selector(".job[data-state=cancelled]")

    assert many.inner_text(".job [role=status]").startswith("Cancelled after")


def test_a_print_sheet_is_a_pdf(many):
    drop(many, workbook(*GUESTS))
    many.check("input[value=sheet]")
    many.select_option(".take select", "A3")
    make(many)
    many.wait_for_selector(".job[data-state=succeeded]", timeout=3 * PATIENCE)

    with many.expect_download() as begun:
        many.click(".job .button")

    assert begun.value.path().read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("guests.json", b'[{"Full name": "Ada", "seat": 7}, {"Full name": "Bo"}]'),
        ("guests.ndjson", b'{"Full name": "Ada"}\n{"Full name": "Bo"}\n'),
        ("guests.tsv", b"Full name\tname, of a dog\nAda\tRex\nBo\tFido\n"),
        ("guests.csv", b"Guests of today\n\nFull name;Full names\nAda;x\nBo;y\n"),
    ],
)
def test_columns_are_guessed_whatever_the_table_is(many, name, data):
    drop(many, file_of(name, data))

    chosen = "e => e.options[e.selectedIndex].text"
    assert many.eval_on_selector("[data-field=name] select", chosen) == "Full name"
    assert many.inner_text(".rows h2") == "2 rows are right"


def test_a_file_that_is_no_table_is_refused_in_words(many):
    many.set_input_files(".drop.large input", [file_of("x.xlsx", b"PK\x03\x04 no")])
    many.wait_for_selector(".many .fault")

    assert many.inner_text(".many .fault").strip()


def test_cells_and_columns_are_text(many):
    evil = b'name,"<img src=x onerror=document.title=1>"\n"<b>Ada</b>",<script>\n'
    drop(many, file_of("evil.csv", evil))

    assert many.inner_text("tbody td") == "<b>Ada</b>"
    assert many.title().startswith("Make many")


def looked(page) -> None:
    """Wait until the rows were looked at as they are wanted now."""
    # The debounce has to begin before it can end.
    page.wait_for_selector(".rows[aria-busy=true]")
    page.wait_for_selector(".rows[aria-busy=false]")


def test_a_wrong_pattern_is_marked_at_the_file_names(many):
    drop(many, workbook(*GUESTS))

    for pattern, said in (("{index}-{Seat}", "{Seat} is neither"), ("{", "brace")):
        many.get_by_label("File names", exact=True).fill(pattern)
        many.wait_for_selector(".take .faulty .fault")
        many.wait_for_selector(f".take .fault >> text={said}")
        assert many.get_attribute(".pair input", "aria-invalid") == "true"
        assert many.locator(".binding.faulty").count() == 0


def test_a_wrong_template_is_marked_where_it_is_typed(many):
    drop(many, workbook(*GUESTS))
    many.select_option("[data-field=role] select", "template")
    many.get_by_label("Role, made of columns").fill("{Job}")
    many.wait_for_selector("[data-field=role] .fault")

    assert many.locator(".binding.faulty").count() == 1
    assert many.get_attribute("[data-field=role] input", "aria-invalid") == "true"
    assert many.get_attribute("[data-field=role] select", "aria-invalid") is None


def test_a_file_that_was_mended_keeps_what_was_bound(many):
    drop(many, workbook(GUESTS[0], ("", "Guest", "Acme")))
    many.select_option("[data-field=role] select", label="Position")
    many.select_option("[data-field=event] select", "template")
    many.get_by_label("Event, made of columns").fill("{Company} days")
    many.get_by_label("File names", exact=True).fill("{Full name}")
    looked(many)

    mended = b"FULL NAME,Extra,Position,Company\nAda,x,Analyst,Engines\n"
    drop(many, file_of("mended.csv", mended))

    chosen = "e => e.options[e.selectedIndex].text"
    assert many.eval_on_selector("[data-field=name] select", chosen) == "FULL NAME"
    assert many.eval_on_selector("[data-field=role] select", chosen) == "Position"
    assert many.input_value("[data-field=event] input") == "{Company} days"
    assert many.input_value(".pair input") == "{Full name}"

    drop(many, file_of("other.csv", b"Full name,Company\nAda,Engines\n"))

    said = "Role was made of \u201cPosition\u201d, which this file has not."
    assert said in many.inner_text("[aria-label=Columns]")


def test_columns_that_nothing_uses_are_named(many):
    drop(many, file_of("t.csv", "name,Chaise,席,role\nAda,1,2,x\n".encode()))

    assert many.inner_text("#unused") == "Nothing uses the columns Chaise, 席."


def test_rows_that_are_wrong_are_left_out_when_that_is_wanted(many):
    drop(many, workbook(GUESTS[0], ("", "Guest", "Acme"), GUESTS[1]))

    many.get_by_label("Leave out rows that are wrong").check()
    looked(many)

    assert many.inner_text("#wrong") == "1 is left out"
    assert "1 row left out" in many.inner_text(".rows")
    make(many)
    with archive(many) as made:
        assert made.namelist() == ["00001.png", "00002.png", "manifest.json"]
    assert "1 row that was wrong was left out" in many.inner_text(".job")


@pytest.mark.parametrize(
    "file",
    [
        workbook(GUESTS[0], ("", "Guest", "Acme")),
        file_of("g.ndjson", b'{"Full name": "Ada"}\n\n{"Full name": "", "x": 1}\n'),
    ],
    ids=["xlsx", "ndjson"],
)
def test_a_cell_is_mended_on_the_page_and_undone(many, file):
    drop(many, file)

    many.get_by_label("Full name, row 3").fill("Bo")
    many.keyboard.press("Tab")
    looked(many)
    assert many.inner_text(".rows h2") == "2 rows are right"
    many.get_by_role("button", name="Undo what was typed in row 3").click()
    looked(many)
    assert many.inner_text("#wrong") == "1 is not"

    many.get_by_label("Full name, row 3").fill("Cy")
    many.keyboard.press("Enter")
    looked(many)
    many.get_by_label("File names", exact=True).fill("{Full name}")
    looked(many)
    make(many)
    with archive(many) as made:
        assert "Cy.png" in made.namelist()


def test_a_button_that_does_nothing_is_reached_and_says_why(many):
    drop(many, workbook(("", "Guest", "Acme")))
    button = many.get_by_role("button", name="Make")

    button.focus()
    many.keyboard.press("Enter")

    assert button.evaluate("e => e === document.activeElement")
    described = button.get_attribute("aria-describedby")
    assert "mended first, or left out" in many.inner_text(f"#{described}")
    assert many.locator(".job").count() == 0


def test_who_has_begun_a_job_stays_at_the_button_and_is_told(many):
    drop(many, workbook(*GUESTS))
    button = many.get_by_role("button", name="Make 2")
    many.wait_for_selector(".take .primary:not([aria-disabled])")

    button.focus()
    many.keyboard.press("Enter")
    many.wait_for_selector(".job[data-state=succeeded]", timeout=3 * PATIENCE)

    assert button.evaluate("e => e === document.activeElement")
    assert "Begun" in many.inner_text(".take [role=status]")


def test_files_are_called_as_the_sheet_and_the_renderer(many):
    drop(many, workbook(*GUESTS))
    make(many)
    many.wait_for_selector(".job[data-state=succeeded]", timeout=3 * PATIENCE)

    link = many.get_by_role("link", name="Download guests-badge.zip")
    with many.expect_download() as begun:
        link.click()

    assert begun.value.suggested_filename == "guests-badge.zip"


def test_names_keep_their_script_when_that_is_wanted(many):
    drop(many, file_of("t.csv", "name\n東京\n".encode()))
    many.get_by_label("File names", exact=True).fill("{name}")
    looked(many)
    assert "file names are in ASCII, as DongJing for" in many.inner_text(".rows")

    many.get_by_label("File names in their own script").check()
    looked(many)
    make(many)

    with archive(many) as made:
        assert made.namelist()[0] == "東京.png"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 390)])
def test_nothing_serious_keeps_anybody_from_making_many(opened, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(
        "/studio#/many",
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    drop(page, workbook(GUESTS[0], ("", "Guest", "Acme")))

    found = axe.Axe().run(page).response["violations"]

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_mended_cell_is_there_after_a_look_at_another_tab(many):
    drop(many, workbook(GUESTS[0], ("", "Guest", "Acme")))
    many.get_by_label("Full name, row 3").fill("Bo")
    many.keyboard.press("Tab")
    looked(many)

    many.get_by_role("link", name="Gallery", exact=True).click()
    many.wait_for_selector(".many", state="detached")
    many.get_by_role("link", name="Make many", exact=True).click()
    many.wait_for_selector(".rows[aria-busy=false]")

    assert many.inner_text(".rows h2") == "2 rows are right"
    assert many.get_by_role("button", name="Undo what was typed in row 3").count() == 1


def test_a_press_while_rows_are_looked_at_counts_once_they_were(many):
    drop(many, workbook(*GUESTS))
    held = []
    many.route("**/collections?*", lambda route: held.append(route))
    with many.expect_request("**/collections?*"):
        many.get_by_text("File names in their own script").click()

    many.get_by_role("button", name="Make").focus()
    many.keyboard.press("Enter")
    assert many.locator(".job").count() == 0
    for each in held:
        each.continue_()

    many.wait_for_selector(".job")
    many.unroute("**/collections?*")
    assert many.locator(".job").count() == 1


def test_names_in_their_own_script_want_a_pattern(many):
    drop(many, workbook(*GUESTS))

    many.get_by_text("File names in their own script").click()
    looked(many)
    assert "The names are numbers so far" in many.inner_text(".take")
    many.get_by_label("File names", exact=True).fill("{Full name}")
    looked(many)

    assert "The names are numbers so far" not in many.inner_text(".take")


def test_enter_takes_the_first_renderer_that_is_found(many):
    many.click(".picked")
    many.get_by_label("Search renderers").fill("place card")
    many.keyboard.press("Enter")

    many.wait_for_selector(".picker[open]", state="detached")
    expect(many.locator(".picked code")).to_have_text("place-card")
