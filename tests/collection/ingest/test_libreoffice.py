"""One sheet, as LibreOffice writes it in ten settings, gives one set of badges."""

import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook

from app.collection.collection import Item
from app.collection.ingest.upload import read_upload
from app.parsing.image import read_pairs
from app.renderer.catalogue import Catalogue
from tests.collection.uploads import Limits

OFFICE = shutil.which("soffice")
pytestmark = pytest.mark.skipif(
    OFFICE is None, reason="soffice is not installed (Debian: libreoffice-calc)"
)

GUESTS = [
    ("Zoë Müller", "Speaker, Chair", "Acme; Inc.", 123, 0.25, date(2026, 3, 4)),
    ('José "Pepe" Núñez', "Guest", "Café\nOlé", 7, 0.5, date(2026, 12, 31)),
    ("Łukasz Żółć", None, "X|Y", 42, 1, date(2025, 1, 2)),
    ("山田太郎", "ゲスト", "株式会社", 1, 0.1, date(2026, 1, 1)),
]
QUERY = "renderer=badge&bind[event]={Code} {Share} {Since}"
TEXT = "csv:Text - txt - csv (StarCalc):"
# Separator, quote, character set (76 is UTF-8, 1 Windows-1252), first line; then
# language, all texts quoted, as shown, formulas, no blanks kept, sheet, BOM.
SETTINGS = {
    "comma": f"{TEXT}44,34,76,1",
    "semicolon": f"{TEXT}59,34,76,1",
    "tab": f"{TEXT}9,34,76,1",
    "bar": f"{TEXT}124,34,76,1",
    "UTF-16": f"{TEXT}44,34,UCS-2,1",
    "UTF-16, tab": f"{TEXT}9,34,UCS-2,1",
    "all quoted": f"{TEXT}44,34,76,1,,0,true",
    "BOM": f"{TEXT}59,34,76,1,,0,false,true,true,false,false,0,true",
    "ods": "ods",
    "xlsx": "xlsx:Calc MS Excel 2007 XML",
}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook with a title above its header, and formats."""
    book = Workbook()
    made = book.active
    made.append(["Guest list"])
    made.append([])
    made.append(["Name", "Role", "Company", "Code", "Share", "Since"])
    for row in GUESTS:
        made.append(row)
    for line in range(4, 8):
        made[f"D{line}"].number_format = "00000"
        made[f"E{line}"].number_format = "0%"
        made[f"F{line}"].number_format = "dd.mm.yyyy"
    path = tmp_path_factory.mktemp("office") / "guests.xlsx"
    book.save(path)
    return path


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_gives_the_same_badges(
    setting: str, sheet: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    assert OFFICE is not None
    profile = f"-env:UserInstallation=file://{sheet.parent}/profile"
    to = ("--convert-to", SETTINGS[setting], "--outdir", str(tmp_path))
    subprocess.run(
        [OFFICE, "--headless", profile, *to, str(sheet)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (written,) = tmp_path.iterdir()

    with written.open("rb") as file:
        pairs = read_pairs(QUERY.encode())
        kind = "application/octet-stream"
        draft = read_upload(file, kind, pairs, catalogue, Limits())
    items = [*draft.collection(catalogue, Limits()).items()]
    draft.close()

    assert [badge(item) for item in items if isinstance(item, Item)] == [
        (
            name,
            role or "",
            company,
            f"{code:05} {share:.0%} {since:%d.%m.%Y}",
        )
        for name, role, company, code, share, since in GUESTS
    ]


def badge(item: Item) -> tuple[str, ...]:
    """Return what stands on a badge."""
    parameters = item.request.parameters
    names = ("name", "role", "company", "event")
    return tuple(getattr(parameters, name) for name in names)
