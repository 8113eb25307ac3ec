"""`--json` prints what was made, for programs, and nothing else."""

import hashlib
import json
from pathlib import Path

import pytest

from app.cli.exit_status import ExitStatus
from app.cli.main import main


@pytest.fixture(autouse=True)
def environment(alone, monkeypatch):
    """Keep nothing in a store, and have a table."""
    monkeypatch.setenv("MIMEO_STORE", "none")
    Path("rows.csv").write_text("title\nOne\n\U00012000\n")


def run(capsys, *arguments: str) -> dict:
    """Run a command that must succeed without another word; return its document."""
    assert main(arguments) == ExitStatus.DONE
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_render_describes_the_image(capsys):
    given = ("render", "card", "--title", "\U00012000", "-o", "a.png", "--json")

    about = run(capsys, *given)

    data = Path("a.png").read_bytes()
    assert about["file"] == "a.png"
    assert about["bytes"] == len(data)
    assert about["sha256"] == hashlib.sha256(data).hexdigest()
    assert (about["media_type"], about["width"]) == ("image/png", 1200)
    assert about["facts"]["missing_glyphs"] == ["U+12000"]


def test_batch_counts_what_it_made(capsys):
    about = run(
        capsys, "batch", "rows.csv", "--renderer", "card", "-o", "a.zip", "--json"
    )

    assert (about["file"], about["images"], about["failed"]) == ("a.zip", 2, 0)
    assert about["bytes"] == Path("a.zip").stat().st_size
    assert about["notices"]["affected"]["missing_glyphs"]["first"] == [2]


def test_a_dry_run_is_the_preview_of_the_server(capsys):
    about = run(
        capsys, "batch", "rows.csv", "--renderer", "card", "--dry-run", "--json"
    )

    assert (about["count"], about["faults"]) == (2, [])
    assert about["columns"] == ["title"]


def test_a_key_is_printed_with_its_lines_for_the_file(capsys):
    made = run(capsys, "key", "new", "--name", "The shop", "--json")

    assert made["key"].startswith(f"mim_{made['id']}_")
    assert made["toml"].startswith(f"[keys.{made['id']}]\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("render", "solid", "-o", "-", "--json"), "-o -: and --json"),
        (
            ("batch", "rows.csv", "--renderer", "card", "-o", "-", "--json"),
            "-o -: and --json",
        ),
        (("doctor", "--release", "--json"), "--release: "),
        (("doctor", "--release", "http://127.0.0.1"), "--release: "),
        (("doctor", "--key-file", "a"), "--key-file: is for a running server"),
        (("render", "solid", "-o", "a.png", "--json=1"), "--json: takes no value"),
        (
            ("batch", "rows.csv", "--renderer", "card", "--dry-run=no"),
            "--dry-run: takes no value",
        ),
        (("key", "new", "--days", "-5"), "--days: must be a whole number from 1"),
        (("key", "new", "--days", "0"), "--days: must be a whole number from 1"),
        (("key", "new", "--days", "9" * 12), "--days: must be a whole number from 1"),
        (("key", "new", "--days", "x"), "--days: must be a whole number from 1"),
        (("sign", "http://["), "http://[: is no URL with a path"),
        (("sign", "images"), "images: is no URL with a path"),
    ],
)
def test_what_would_be_passed_over_is_refused(capsys, arguments, said):
    status = main(arguments)

    captured = capsys.readouterr()
    assert (status, captured.out) == (ExitStatus.MISUSE, "")
    assert captured.err.startswith(f"mimeo: {said}")
