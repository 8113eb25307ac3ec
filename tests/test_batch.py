"""`mimeo batch` draws a table into a ZIP, and goes on where it was interrupted."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook
from pypdf import PdfReader

from app.cli.main import main

ROWS = "color,width\n" + "".join(f"%06x,{20 + n}\n" % (n * 999) for n in range(12))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a table and a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMEO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MIMEO_SYSTEM_FONTS", "off")
    Path("rows.csv").write_text(ROWS)
    return tmp_path


def batch(*arguments: str) -> int:
    return main(["batch", *arguments])


def test_a_table_becomes_a_zip(folder, capsys):
    status = batch("rows.csv", "--renderer", "solid", "--height", "9", "-o", "a.zip")

    assert status == 0
    with zipfile.ZipFile("a.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "00001.png"
        assert len(archive.namelist()) == 12 + 1
    assert "a.zip: 12 images" in capsys.readouterr().err
    assert not Path("a.zip.part").exists()


def test_a_table_becomes_a_pdf_with_several_on_a_page(folder, capsys):
    status = batch(
        *("rows.csv", "--renderer", "solid", "--width", "300", "--height", "200"),
        *("-o", "a.pdf", "--sheet-grid", "2x3", "--sheet-page", "A6"),
    )

    assert status == 0
    assert len(PdfReader("a.pdf").pages) == 2
    assert "a.pdf: 12 images" in (said := capsys.readouterr().err)
    assert "% of their own size" in said


def test_a_table_becomes_a_pdf_with_a_page_each(folder):
    assert batch("rows.csv", "--renderer", "solid", "-o", "a.pdf") == 0
    assert len(PdfReader("a.pdf").pages) == 12


def test_the_summary_says_which_texts_are_not_as_they_were_meant(folder, capsys):
    rows = f"name\nAda\n\U00010600\n{'W' * 80}\n\U00010600\n"
    Path("names.csv").write_text(rows, "utf-8")

    batch("names.csv", "--renderer", "badge", "-o", "a.zip")

    said = capsys.readouterr().err
    assert "no loaded font has U+10600; rows 2, 4; see MIMEO_FONTS" in said
    assert "name: does not fit, its end is cut off; row 3" in said


def test_the_second_run_finds_what_the_first_drew(folder, capsys):
    batch("rows.csv", "--renderer", "solid", "-o", "a.zip")
    first = Path("a.zip").read_bytes()
    capsys.readouterr()

    batch("rows.csv", "--renderer", "solid", "-o", "a.zip")

    assert "12 of them found" in capsys.readouterr().err
    assert Path("a.zip").read_bytes() == first


def test_names_and_options_are_those_of_the_query(folder):
    batch(
        *("rows.csv", "--renderer", "solid", "--file-name", "{color}-{index}"),
        *("--format", "webp", "-o", "a.zip"),
    )

    with zipfile.ZipFile("a.zip") as archive:
        assert archive.namelist()[1] == "0003e7-00002.webp"


def test_bad_rows_are_named_a_line_each(folder, capsys):
    Path("rows.csv").write_text("color,width\nred,0\nnope,5\n")

    status = batch("rows.csv", "--renderer", "solid", "-o", "a.zip")

    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert lines[0].startswith("mimeo: row 1, line 2: width:")
    assert lines[1].startswith("mimeo: row 2, line 3: color:")
    assert not Path("a.zip").exists()


def test_an_image_that_fails_is_named_and_the_rest_drawn(folder, capsys):
    long = "x" * 4000
    items = [{"data": "a"}, {"data": long}, {"data": "c"}]
    Path("rows.json").write_text(json.dumps({"renderer": "qr", "items": items}))

    status = batch("rows.json", "-o", "a.zip")

    said = capsys.readouterr().err
    assert status == 1
    assert "2 images, 1 failed" in said
    assert "row 2" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rows.csv", "-o", "a.zip"), "--renderer: is required"),
        (("rows.csv", "--renderer", "solid"), "-o FILE"),
        (("none.csv", "--renderer", "solid", "-o", "a.zip"), "none.csv"),
        (("rows.xls", "--renderer", "solid", "-o", "a.zip"), "--type"),
        (("rows.csv", "--renderer", "solid", "-o", "no/a.zip"), "no such folder"),
        (("rows.csv", "--renderer", "solid", "--speed", "1", "-o", "a.zip"), "--speed"),
        (("rows.csv", "--renderer", "nope", "-o", "a.zip"), "nope"),
        (("rows.csv", "--renderer", "solid", "--name", "x", "-o", "a"), "--file-name"),
        (
            ("rows.csv", "--renderer", "solid", "-o", "a.zip", "--sheet-page", "A4"),
            "-o FILE.pdf",
        ),
        (
            ("rows.csv", "--renderer", "solid", "-o", "a.pdf", "--sheet-page", "B4"),
            "--sheet-page",
        ),
        (
            ("rows.csv", "--renderer", "solid", "-o", "a.pdf", "--url", "http://a"),
            "/collections.pdf",
        ),
        (
            (
                *("rows.csv", "--renderer", "solid", "--dry-run"),
                *("--sheet-page", "A4", "--url", "http://a"),
            ),
            "--sheet-...: --url fetches a ZIP",
        ),
        (
            ("rows.csv", "--renderer", "solid", "--dry-run", "-o", "no/a.zip"),
            "no such folder",
        ),
    ],
)
def test_misuse_names_the_option(folder, capsys, arguments, said):
    assert batch(*arguments) == 2
    assert said in capsys.readouterr().err


def workbook(*rows: list[object]) -> None:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save("rows.xlsx")


def test_a_workbook_with_columns_of_other_names_becomes_a_zip(folder, capsys):
    workbook(["Tones of 2026"], ["Tone", "Side", "Shoe"], ["red", 20, 43])

    status = batch(
        *("rows.xlsx", "--renderer", "solid", "--bind", "color={Tone|trim}"),
        *("--bind=width={side}", "--file-name", "{Tone}", "-o", "a.zip"),
    )

    said = capsys.readouterr().err
    assert status == 0
    assert "line 1 above the header passed over" in said
    assert "a column that nothing uses passed over: Shoe" in said
    with zipfile.ZipFile("a.zip") as archive:
        assert archive.namelist()[0] == "red.png"


def test_a_dry_run_draws_the_worst_and_says_all_that_is_wrong(folder, capsys):
    Path("rows.csv").write_text("color,width\nred,20\nnope,5\nblue,\n")

    status = batch("rows.csv", "--renderer", "solid", "--dry-run")

    said = capsys.readouterr().err
    assert status == 2
    assert "row 2, line 3: color:" in said
    assert "row 1, line 2, the longest: as it should be" in said
    assert "2 of the rows are valid; nothing is written in a dry run" in said
    assert {*os.listdir()} <= {"rows.csv", "store"}


SHEETS = {
    "page": ("B4",),
    "grid": ("900x1", "-o", "a.pdf"),
    "margin": ("300mm",),
    "preset": ("avery-1",),
    "colour": ("red",),
    "...": ("A4", "-o", "a.zip"),
}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["real", "dry"])
@pytest.mark.parametrize("option", SHEETS)
def test_a_dry_run_refuses_a_sheet_as_the_real_run_does(folder, capsys, option, dry):
    value, *target = SHEETS[option]
    name = "--sheet-page" if option == "..." else f"--sheet-{option}"
    target = target or ([] if dry else ["-o", "a.pdf"])

    status = batch("rows.csv", "--renderer", "solid", name, value, *target, *dry)

    assert status == 2
    assert f"--sheet-{option}: " in capsys.readouterr().err
    assert {*os.listdir()} <= {"rows.csv", "store"}


def test_a_dry_run_says_how_small_pieces_of_a_sheet_become(folder, capsys):
    assert batch("rows.csv", "--renderer", "badge", "--dry-run") == 2
    Path("rows.csv").write_text("name\nAda\n")
    sheet = ("--sheet-grid", "2x4", "--dry-run")

    status = batch("rows.csv", "--renderer", "badge", *sheet)

    assert status == 0
    assert "printed at 62% of their own size" in capsys.readouterr().err


def test_a_dry_run_reads_the_sheet_of_a_document_too(folder, capsys):
    items = [{"color": "red"}]
    document = {"renderer": "solid", "items": items, "sheet": {"page": "B4"}}
    Path("rows.json").write_text(json.dumps(document))

    status = batch("rows.json", "--dry-run")

    assert status == 2
    assert "sheet[page]: " in capsys.readouterr().err


@pytest.mark.parametrize("bound", ["color", "=x"])
def test_a_binding_names_its_parameter(folder, capsys, bound):
    status = batch("rows.csv", "--renderer", "solid", "--bind", bound, "-o", "a.zip")

    assert status == 2
    assert "bind" in capsys.readouterr().err


def test_ctrl_c_on_a_terminal_says_that_the_same_command_goes_on(folder):
    count = 3000
    rows = "".join(f"Card {n}\n" for n in range(count))
    Path("cards.csv").write_text("title\n" + rows)
    control, terminal = pty.openpty()
    # A new one has no columns, and so no room for a bar.
    termios.tcsetwinsize(terminal, (24, 100))
    command = [sys.executable, "-m", "app.cli.main", "batch", "cards.csv"]
    process = subprocess.Popen(
        [*command, "--renderer", "card", "-o", "cards.zip"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    end = time.monotonic() + 60
    while b"images/s" not in shown and time.monotonic() < end:
        shown += os.read(control, 4096)

    process.send_signal(signal.SIGINT)
    status = process.wait(60)
    # A terminal whose other side is closed reads as an error, not as an end.
    try:
        while block := os.read(control, 4096):
            shown += block
    except OSError:
        os.close(control)

    assert status == 130, shown.decode()
    assert b"the same command goes on from there" in shown
    assert not Path("cards.zip").exists()
    assert not Path("cards.zip.part").exists()
