"""What is declared is what is used, and what is pinned."""

import ast
import configparser
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from app.cli.doctor import installed
from app.renderer.engine import emoji
from app.renderer.engine.fonts import PACKAGED

ROOT = Path(__file__).parent.parent


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def normal(name: str) -> str:
    """Normalise the name of a distribution (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(section: str, option: str) -> dict[str, str]:
    """Return names and version bounds of a list of requirements."""
    rows = setup()[section][option].split("\n")
    names = (re.match(r"[\w.-]+", row) for row in rows)
    return {
        normal(found[0]): row[found.end() :]
        for row, found in zip(rows, names, strict=True)
        if found
    }


def pinned(name: str) -> dict[str, str]:
    """Return the pins of a file, and of those that it includes."""
    found: dict[str, str] = {}
    for line in (ROOT / name).read_text().splitlines():
        package, equals, pin = line.partition("==")
        if equals:
            found[normal(package)] = pin
        elif line.startswith("-r "):
            found |= pinned(line.removeprefix("-r "))
    return found


def imported() -> set[str]:
    """Return the distributions that the running code imports."""
    files = [*(ROOT / "app").rglob("*.py"), ROOT / "gunicorn.conf.py"]
    names = {name for path in files for name in top_level(path)}
    known = packages_distributions()
    named = extras()
    third = {n for n in names if n not in sys.stdlib_module_names and n != "app"}
    # Names that only type stubs have, such as _typeshed, belong to nobody.
    return {
        normal(distribution)
        for name in third
        if not name.startswith("_")
        # Of a namespace that many distributions share, those that are named.
        for distribution in named & set(map(normal, known.get(name, ())))
        or known.get(name, [name])
    }


def top_level(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    lifted = {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | lifted}


def fonts() -> set[str]:
    packages = {name.partition("/")[0] for name, _ in PACKAGED}
    return {normal(package) for package in packages - {"app"}}


def artwork() -> set[str]:
    return {normal(emoji.PACKAGE)}


def extras() -> set[str]:
    """Return what stands in the optional parts, which a caller asks for by name."""
    options = setup()["options.extras_require"].keys() - {"dev"}
    lists = (declared("options.extras_require", name) for name in options)
    return {name for each in lists for name in each}


def test_every_import_is_declared():
    assert imported() <= declared("options", "install_requires").keys() | extras()


def test_what_is_optional_is_tested():
    assert extras() <= declared("options.extras_require", "dev").keys()


def test_every_declared_package_is_used():
    used = imported() | fonts() | artwork()

    assert declared("options", "install_requires").keys() == used - extras()


@pytest.mark.parametrize(
    ("option", "section", "file"),
    [
        ("install_requires", "options", "requirements.txt"),
        ("dev", "options.extras_require", "requirements-dev.txt"),
    ],
)
def test_every_declared_package_is_pinned_within_its_bound(option, section, file):
    pins = pinned(file)

    for name, bound in declared(section, option).items():
        assert name in pins
        assert meets(pins[name], bound)


def meets(pin: str, bound: str) -> bool:
    if not bound:
        return True
    operator, least = re.fullmatch(r"(==|>=)([\d.]+)", bound).groups()
    return pin == least if operator == "==" else numbers(pin) >= numbers(least)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def test_the_tests_run_on_the_pinned_versions():
    pins = pinned("requirements.txt") | pinned("requirements-dev.txt")

    assert {name: installed(name) for name in pins} == pins


def test_every_dependency_has_its_reason_written_down():
    text = (ROOT / "docs/decisions/dependencies.md").read_text().lower()
    names = declared("options", "install_requires").keys() | extras()

    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_version_is_said_once():
    assert setup()["metadata"]["version"] == installed("mimeo")


def test_pyproject_holds_the_build_system_and_nothing_else():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text()).keys() == {
        "build-system"
    }


@pytest.mark.parametrize("folder", ["templates", "fonts", "engine/artwork"])
def test_every_file_of_templates_fonts_and_artwork_is_packaged(folder):
    patterns = setup()["options.package_data"]["app"].split()
    kept = ROOT / "app/renderer" / folder
    files = {path for path in kept.rglob("*") if path.is_file()}

    packaged = {path for each in patterns for path in (ROOT / "app").glob(each)}

    assert files
    assert files == {path for path in packaged if kept in path.parents}
