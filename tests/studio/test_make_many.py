"""Many pictures in the studio: a table, its columns, its rows, and the job."""

import io
import zipfile

import pytest
from openpyxl import Workbook

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
    page.click(".take .primary:not([disabled])")
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
    assert many.inner_text("tr.wrong th") == "2"
    assert many.inner_text("tr.said-below").strip() == "name: is required"
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
