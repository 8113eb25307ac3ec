"""bin/serve on a machine with nothing but Python: what it makes, when it stops.

The scripts run in a copy of the project whose package and requirements are empty,
with an in-tree build backend and pip's own bundled wheel, so nothing is fetched.
"""

import ensurepip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A build backend (PEP 660) whose only product is a `mimeo` command that says how
# it was called.
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "mimeo-0-py3-none-any.whl", "mimeo-0.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("stub.py", "import sys\\ndef main(): print(sys.argv[1:])")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: mimeo\\nVersion: 0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nmimeo = stub:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""  # noqa: E501 - one line of metadata each
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# An interpreter as Debian ships it without its venv package.
NO_ENSUREPIP = f"""#!/bin/sh
case "$*" in
*sys.executable*) echo "$0"; exit ;;
*--without-pip*) ;;
"-m venv"*) echo "ensurepip is not available"; exit 1 ;;
esac
exec "{sys.executable}" "$@"
"""
NO_PIP = NO_ENSUREPIP.replace(
    "esac", '"-m pip"*) echo "No module named pip" >&2; exit 1 ;;\nesac'
)
# Builds the documents by writing one; also of what has not changed.
BUILD = """
from pathlib import Path
root = Path(__file__).parent.parent.parent
site = root / "app/views/static/manual"
site.mkdir(parents=True, exist_ok=True)
(site / "index.html").write_text("built")
with (root / "builds").open("a") as builds:
    builds.write("+")
"""
OLD = "#!/bin/sh\nexit 0\n"
# Programs that bin/* calls beside the shell's own commands.
TOOLS = (*("cat", "cksum", "dirname", "mktemp", "readlink", "rm", "sed", "sh", "tail"),)


@pytest.fixture
def project(tmp_path):
    """Return the folder of a small project with our scripts; its path has a space."""
    root = tmp_path / "my projects" / "mimeo"
    shutil.copytree(ROOT / "bin", root / "bin")
    for name in ("requirements", "requirements-docs", "requirements-dev"):
        (root / f"{name}.txt").write_text("")
    (root / "setup.cfg").write_text("")
    (root / "docs/site/static").mkdir(parents=True)
    (root / "docs/site/build.py").write_text(BUILD)
    (root / "docs/site/static/site.css").write_text("")
    (root / "docs/site/templates/partials").mkdir(parents=True)
    (root / "docs/site/templates/partials/icons.html").write_text("")
    (root / "docs/how-to").mkdir()
    for name in ("README.md", "docs/index.md", "docs/how-to/draw.md"):
        (root / name).write_text("Once.")
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(PYPROJECT)
    return root


@pytest.fixture
def tools(tmp_path):
    """Return a folder for PATH that holds no Python, pip or package manager."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name))
    return folder


def add_program(folder: Path, name: str, text: str) -> Path:
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)
    return program


def run(program: Path, *arguments: str, path: Path, **more: str):
    bundled = Path(ensurepip.__file__).parent / "_bundled"
    environ = {
        "PATH": str(path),
        "HOME": str(path),
        "PIP_FIND_LINKS": str(bundled),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    return subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        cwd="/",
        env=environ | more,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def test_serve_makes_an_environment_and_hands_its_arguments_on(project, tools):
    (tools / "python3").symlink_to(sys.executable)

    first = run(project / "bin/serve", "--port", "9000", path=tools)
    second = run(project / "bin/serve", "a b", path=tools)

    assert first.returncode == 0, first.stderr
    assert first.stdout == "['serve', '--port', '9000']\n"
    said = [line.partition(" ")[0] for line in first.stderr.splitlines()]
    assert said == ["Preparing", "Updating", "Building"]
    assert (project / "builds").read_text() == "+"
    assert (second.stdout, second.stderr) == ("['serve', 'a b']\n", "")


def test_documents_that_have_changed_are_built_at_the_next_start(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    run(project / "bin/serve", path=tools)
    (project / "README.md").write_text("Twice.")

    run(project / "bin/serve", path=tools)
    run(project / "bin/serve", path=tools)

    assert (project / "builds").read_text() == "++"


def test_a_server_starts_also_where_its_documents_cannot_be_built(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    (project / "docs/site/build.py").write_text("raise SystemExit('no such word')")

    done = run(project / "bin/serve", path=tools)

    assert done.stdout == "['serve']\n"
    assert "no such word" in done.stderr
    assert "/docs is missing" in done.stderr


@pytest.mark.parametrize("build", [BUILD, "raise SystemExit('no such word')"])
def test_a_host_with_a_buildpack_builds_them_or_goes_on_without(project, tools, build):
    add_program(tools, "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (project / "docs/site/build.py").write_text(build)

    done = run(project / "bin/post_compile", path=tools)

    assert done.returncode == 0
    assert (project / "app/views/static/manual/index.html").exists() == (build == BUILD)
    assert ("/docs is missing" in done.stderr) == (build != BUILD)


def test_a_changed_requirement_is_installed_at_the_next_start(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    run(project / "bin/serve", path=tools)
    (project / "requirements.txt").write_text("no-such-package==1\n")

    failed = run(project / "bin/serve", path=tools)
    (project / "requirements.txt").write_text("")
    mended = run(project / "bin/serve", path=tools)

    assert failed.returncode == 1
    assert "no-such-package" in failed.stderr
    assert ".venv.log" in failed.stderr
    assert mended.stdout == "['serve']\n"


def test_an_environment_whose_python_is_gone_is_made_anew(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    run(project / "bin/serve", path=tools)
    for link in (project / ".venv/bin").glob("python*"):
        link.unlink()

    mended = run(project / "bin/serve", path=tools)

    assert mended.stdout == "['serve']\n", mended.stderr


def test_a_project_that_was_moved_makes_its_environment_anew(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    run(project / "bin/serve", path=tools)
    moved = project.rename(project.parent / "moved")

    started = run(moved / "bin/serve", path=tools)

    assert started.stdout == "['serve']\n", started.stderr
    assert str(moved) in (moved / ".venv/bin/pip").read_text()


def test_test_and_serve_share_one_environment(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    run(project / "bin/prepare", "requirements-dev.txt", path=tools)

    second = run(project / "bin/prepare", "requirements.txt", path=tools)

    assert (second.returncode, second.stderr) == (0, "")


def test_without_ensurepip_another_pip_fills_the_environment(project, tools):
    add_program(tools, "python3", NO_ENSUREPIP)

    made = run(project / "bin/serve", path=tools)

    assert made.stdout == "['serve']\n", made.stderr


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "apt-get install python{}-venv"),
        ("dnf", "dnf install python{}-pip"),
        ("apk", "apk add py3-pip"),
    ],
)
def test_without_any_pip_one_package_is_named(project, tools, manager, command):
    add_program(tools, "python3", NO_PIP)
    add_program(tools, manager, OLD)

    stopped = run(project / "bin/serve", path=tools)

    assert stopped.returncode == 1
    assert command.format("{}.{}".format(*sys.version_info)) in stopped.stderr
    assert stopped.stderr.count(" install ") + stopped.stderr.count(" add ") == 1
    assert not (project / ".venv").exists()


def test_without_a_new_enough_python_it_stops_and_says_so(project, tools):
    add_program(tools, "python3", OLD)

    stopped = run(project / "bin/serve", path=tools)

    assert stopped.returncode == 1
    assert "needs Python 3.11 to 3.14" in stopped.stderr


def test_an_old_python3_is_passed_over_and_a_link_followed(project, tools, tmp_path):
    add_program(tools, "python3", OLD)
    (tools / "python3.11").symlink_to(sys.executable)
    (tmp_path / "link").symlink_to(project / "bin/serve")
    (tmp_path / "link to link").symlink_to("link")

    made = run(tmp_path / "link to link", path=tools)

    assert made.stdout == "['serve']\n", made.stderr


def test_a_python_that_was_asked_for_and_is_too_old_is_named(project, tools):
    (tools / "python3").symlink_to(sys.executable)
    old = add_program(tools, "old-python", OLD)

    stopped = run(project / "bin/serve", path=tools, PYTHON=str(old))

    assert stopped.returncode == 1
    assert f"PYTHON={old} is not Python 3.11 to 3.14" in stopped.stderr
