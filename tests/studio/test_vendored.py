"""What others wrote is in the tree byte for byte as its table says."""

import hashlib
import tomllib
from pathlib import Path

import pytest

STATIC = Path(__file__).parent.parent.parent / "app/views/static"
TABLES = {
    path.parent: tomllib.loads(path.read_text())
    for path in sorted(STATIC.glob("*/vendor/vendored.toml"))
}


def test_each_page_that_has_scripts_of_others_has_a_table():
    assert {folder.parent.name for folder in TABLES} == {"docs", "studio"}


@pytest.mark.parametrize(
    ("folder", "name"),
    [(folder, name) for folder, table in TABLES.items() for name in table],
    ids=[name for table in TABLES.values() for name in table],
)
def test_a_file_has_the_digest_of_its_row(folder, name):
    data = (folder / name).read_bytes()

    assert hashlib.sha256(data).hexdigest() == TABLES[folder][name]["sha256"]


@pytest.mark.parametrize("folder", TABLES, ids=lambda folder: folder.parent.name)
def test_every_file_has_a_row_and_every_package_its_licence(folder):
    files = {path.name for path in folder.iterdir()} - {"vendored.toml"}
    packages = {row["package"] for row in TABLES[folder].values()}

    assert files == set(TABLES[folder])
    names = {package.removeprefix("@").replace("/", "-") for package in packages}
    assert {f"{name}.LICENSE.txt" for name in names} <= files
