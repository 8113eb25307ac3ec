"""The page on security claims nothing without a test that is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
NAMED = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)")
SECURITY = ROOT / "docs/explanation/security.md"


@cache
def defined(file: str) -> frozenset[str]:
    """Return the names of the functions at the top of a file of tests."""
    path = ROOT / file
    body = ast.parse(path.read_text()).body if path.is_file() else []
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name in NAMED.findall(page.read_text()):
        assert name in defined(file), f"{file}::{name}"


def test_every_row_on_security_names_a_test() -> None:
    rows = re.findall(r"^\| (?!who may|-)(.*) \|$", SECURITY.read_text(), re.MULTILINE)

    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row.rpartition(" | ")[2])] == []


def test_every_asset_has_rows() -> None:
    assets = SECURITY.read_text().partition("## What is not guarded")[0].split("\n## ")

    bare = [asset for asset in assets[1:] if not NAMED.search(asset)]
    assert len(assets) == 8
    assert bare == []


def test_whoever_finds_a_fault_is_told_where_to_say_so() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)

    assert "Report a vulnerability" in text
    assert [link for link in links if not (ROOT / link).exists()] == []
