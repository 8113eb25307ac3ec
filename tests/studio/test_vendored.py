"""What others wrote is in the tree byte for byte as its table says."""

import hashlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "app/views/static/studio/vendor"
TABLE = tomllib.loads((FOLDER / "vendored.toml").read_text())


@pytest.mark.parametrize("name", TABLE)
def test_a_file_has_the_digest_of_its_row(name):
    data = (FOLDER / name).read_bytes()

    assert hashlib.sha256(data).hexdigest() == TABLE[name]["sha256"]


def test_every_file_has_a_row_and_every_package_its_licence():
    files = {path.name for path in FOLDER.iterdir()} - {"vendored.toml"}
    packages = {row["package"] for row in TABLE.values()}

    assert files == set(TABLE)
    assert {f"{package}.LICENSE.txt" for package in packages} <= files
