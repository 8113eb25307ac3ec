"""Commands say how they are used, end as the table says, and shells complete them."""

import argparse
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from gunicorn.arbiter import Arbiter
from openpyxl import Workbook

from app.cli import batch, completion, start
from app.cli.command_parser import CommandParser
from app.cli.exit_status import MEANINGS, ExitStatus
from app.cli.main import _parser, main

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "command-line.md"


@pytest.fixture(autouse=True)
def environment(alone, monkeypatch):
    """Keep nothing in a store."""
    monkeypatch.setenv("MIMEO_STORE", "none")


def parsers(parser: CommandParser) -> Iterator[CommandParser]:
    """Yield a parser and those of all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


def misused(capsys, *arguments: str) -> str:
    """Run a command that must be refused; return the one line that it says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()

    assert ended.value.code == ExitStatus.MISUSE
    assert captured.out == ""
    assert captured.err.startswith("mimeo: ") and captured.err.count("\n") == 1
    return captured.err


COMMANDS = {
    parser.prog: parser
    for parser in parsers(_parser())
    if parser.prog not in ("mimeo", "mimeo render", "mimeo batch")
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_ends_with_examples_that_can_be_parsed(
    capsys, command
):
    parser = COMMANDS[command]
    with pytest.raises(SystemExit) as ended:
        main([*command.split()[1:], "--help"])

    shown = capsys.readouterr().out.partition("\nexamples:\n")[2].splitlines()
    assert ended.value.code == ExitStatus.DONE
    assert shown == [f"  {example}" for example in parser.examples] != []
    for example in parser.examples:
        words = shlex.split(example.partition(" > ")[0])
        assert example.startswith(command)
        assert _parser().parse_args(words[1:]).run is not None


@pytest.mark.parametrize("command", ["render", "batch"])
def test_the_examples_of_what_draws_do_what_they_say(capfdbinary, monkeypatch, command):
    fetched = []
    monkeypatch.setattr(batch, "_fetch", lambda options, *more: fetched.append(options))
    shutil.copy(ROOT / "docs" / "how-to" / "guests.csv", "guests.csv")
    Path("page.html").write_text("<p>Hello</p>")
    book = Workbook()
    book.active.append(["First", "Last"])
    book.active.append(["Ada", "Lovelace"])
    book.save("guests.xlsx")
    main([command, "--help"])
    examples = (
        capfdbinary.readouterr().out.decode().partition("\nexamples:\n")[2].splitlines()
    )

    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        assert main(words[1:]) == ExitStatus.DONE, example
        output = words[words.index("-o") + 1] if "-o" in words else "-"
        assert output == "-" or Path(output).is_file() or "--url" in words
    assert len(examples) >= 3
    assert len(fetched) == sum("--url" in example for example in examples)


def test_the_reference_has_the_exit_statuses_and_commands_that_there_are():
    text = REFERENCE.read_text()
    rows = dict(re.findall(r"^\| `(\d+)` \| (.+?) \|", text, re.MULTILINE))
    commands = re.findall(r"^\| `(mimeo [a-z]+)`", text, re.MULTILINE)

    assert rows == {str(status.value): said for status, said in MEANINGS.items()}
    assert set(MEANINGS) == set(ExitStatus)
    assert set(commands) == {
        " ".join(parser.prog.split()[:2]) for parser in parsers(_parser())
    } - {"mimeo"}


def test_the_help_has_the_exit_statuses(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    shown = capsys.readouterr().out
    assert all(
        f"{status.value:<4} {said}" in shown for status, said in MEANINGS.items()
    )


def test_gunicorn_ends_with_the_statuses_of_the_table():
    assert Arbiter.WORKER_BOOT_ERROR == ExitStatus.WORKER_FAILED
    assert Arbiter.APP_LOAD_ERROR == ExitStatus.APP_FAILED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("worker", "--workers=2"), "--workers=2: is not known; see `mimeo worker --"),
        (
            ("serve", "--workes", "2"),
            "--workes: is not known (did you mean --workers?)",
        ),
        (("serve", "--work", "2"), "--work: is not known (did you mean --workers?)"),
        (("doctor", "a", "b"), "b: is not known; see `mimeo doctor --help`"),
        (("frob",), "invalid choice: 'frob' (choose from "),
        ((), "COMMAND; see `mimeo --help`"),
        (("jobs", "list", "--limit", "0"), "--limit: '0' is not a number from 1; see"),
    ],
)
def test_what_is_not_known_is_named_with_where_more_is_said(capsys, arguments, said):
    assert said in misused(capsys, *arguments)


def test_the_worker_of_a_procfile_takes_no_options(capsys):
    status = start.main(["worker", "--workers=2"])

    assert status == ExitStatus.MISUSE
    assert "worker: only `worker`, alone" in capsys.readouterr().err


def test_ctrl_c_ends_a_command_without_a_traceback(capsys, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.render.open_catalogue", interrupted)
    monkeypatch.setattr("app.cli.render.Sandbox", interrupted)
    status = main(["render", "solid", "-o", "red.png"])

    assert status == ExitStatus.INTERRUPTED
    assert capsys.readouterr().err == "mimeo: interrupted\n"


def offered_by_bash(script: Path, *words: str) -> list[str]:
    listed = " ".join(map(shlex.quote, ("mimeo", *words)))
    asked = f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words)};"
    asked += ' _shtab_mimeo; printf "%s\\n" "${COMPREPLY[@]}"'
    return said_by("bash", "--norc", "-c", asked).split()


def offered_by_fish(script: Path, *words: str) -> list[str]:
    line = shlex.join(("mimeo", *words[:-1])) + f" {words[-1]}"
    asked = f"source {script}; complete -C {shlex.quote(line)}"
    lines = said_by("fish", "--no-config", "-c", asked).splitlines()
    # A description stands behind a tab.
    return [line.partition("\t")[0] for line in lines]


def offered_by_zsh(script: Path, *words: str) -> list[str]:
    functions = script.parent / "functions"
    functions.mkdir(exist_ok=True)
    shutil.copy(script, functions / "_mimeo")
    line = shlex.join(("mimeo", *words[:-1])) + f" {words[-1]}"
    capture = Path(__file__).parent / "offered.zsh"
    dump = script.with_suffix(".dump")
    said = said_by("zsh", "-f", str(capture), str(functions), line, str(dump))
    return re.findall("<(?!END>)(.*?)>", said)


def said_by(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=300
    ).stdout


OFFERED = {"bash": offered_by_bash, "fish": offered_by_fish, "zsh": offered_by_zsh}


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_shell_completes_commands_renderers_parameters_and_words(
    capsys, monkeypatch, tmp_path, shell
):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    shutil.copytree(ROOT / "app/renderer/templates/badge", "templates/mine")
    monkeypatch.setenv("MIMEO_TEMPLATES", "templates")
    main(["completion", shell])
    script = tmp_path / f"mimeo.{shell}"
    script.write_text(capsys.readouterr().out)
    completed = partial(OFFERED[shell], script)

    assert completed("rend") == ["render", "renderers"]
    assert completed("render", "mi") == ["mine"]
    assert completed("render", "card", "--tit") == ["--title"]
    assert completed("render", "card", "--im") == ["--image@"]
    formats = completed("render", "card", "-o", "a", "--format", "")
    assert {"png", "pdf"} < set(formats)
    assert completed("batch", "a.csv", "--renderer", "badg") == ["badge"]
    assert "--sheet-page" in completed("batch", "a.csv", "--sheet-")
    assert completed("jobs", "wa") == ["wait"]


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_there_is_a_script_for_every_shell_of_the_list(capsys, shell):
    assert main(["completion", shell]) == ExitStatus.DONE

    script = capsys.readouterr().out
    assert "--file-name" in script and "address-label" in script


def test_every_option_of_batch_is_completed(capsys):
    main(["batch", "--help"])
    named = re.findall(
        r"^  (?:-o, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE
    )
    main(["completion", "bash"])

    script = capsys.readouterr().out
    options = script.partition("_shtab_mimeo_batch_option_strings=(")[2].partition(")")
    assert set(named) <= set(options[0].split())
