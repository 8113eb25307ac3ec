"""The pages on security and on faults claim nothing without a test that is there."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
# With the case of a test that has several, where one is named.
NAMED = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)(\[[^`]+\])?")
SECURITY = ROOT / "docs/explanation/security.md"
FAULTS = ROOT / "docs/explanation/reliability.md"


@cache
def defined(file: str) -> frozenset[str]:
    """Return the names of the functions at the top of a file of tests."""
    path = ROOT / file
    body = ast.parse(path.read_text()).body if path.is_file() else []
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


def rows(page: Path, head: str) -> list[list[str]]:
    """Return the cells of the tables that begin with a head, without that."""
    found = []
    for table in re.findall(
        rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE
    ):
        found += [line.strip("| ").split(" | ") for line in table.splitlines()]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for file, name, _ in NAMED.findall(page.read_text()):
        assert name in defined(file), f"{file}::{name}"


def test_every_case_of_a_fault_is_there() -> None:
    found = NAMED.findall(FAULTS.read_text())
    named = {f"{file}::{name}{case}" for file, name, case in found}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *named]

    # pytest itself says which it does not find.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_every_row_on_security_names_a_test() -> None:
    claims = rows(SECURITY, "who may reach it")

    assert len(claims) > 20
    assert [claim for claim in claims if not NAMED.search(claim[-1])] == []


def test_every_fault_has_a_test_and_two_others_of_its_kind() -> None:
    faults = [cells for cells in rows(FAULTS, "what was seen") if "::" in cells[-1]]

    assert len(faults) > 25
    for what, shown, others in faults:
        tests = NAMED.findall(shown) + NAMED.findall(others)
        assert NAMED.search(shown), what
        assert len(set(tests)) == len(tests) >= 3, what


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
