"""The signatures in the documents are right, and so is the code beside them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.access.signed_url import UrlSigner
from app.cli.main import main

TEXT = Path("docs/how-to/access.md").read_text("utf-8")
SECRET = "correct-horse-battery-staple-2026"
VECTORS = re.findall(r"^\| `(/[^`]+)` \| `(v1\.[^`]+)` \|$", TEXT, re.MULTILINE)


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return found


def test_the_vectors_are_there() -> None:
    assert SECRET in TEXT
    assert len(VECTORS) == 4


@pytest.mark.parametrize(("target", "signature"), VECTORS)
def test_the_server_takes_them(target: str, signature: str) -> None:
    signer = UrlSigner(lambda: {"2026": SECRET.encode()})
    path, _, query = f"{target}&signature={signature}".partition("?")

    assert signer.check(path, query, lambda *_: False, 0).key == "2026"


@pytest.mark.parametrize(("target", "signature"), VECTORS)
def test_python_makes_them(target: str, signature: str) -> None:
    names: dict[str, object] = {}
    exec(block("python"), names)

    assert names["sign"](target, SECRET) == f"{target}&signature={signature}"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize(("target", "signature"), VECTORS)
def test_a_shell_makes_them(target: str, signature: str) -> None:
    given = {"URL": target, "SECRET": SECRET, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-c", block("bash")],
        env=given,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{target}&signature={signature}\n"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
@pytest.mark.parametrize(("target", "signature"), VECTORS)
def test_javascript_makes_them(target: str, signature: str, tmp_path: Path) -> None:
    call = "console.log(sign(process.argv[2], process.argv[3]));\n"
    script = tmp_path / "sign.mjs"
    script.write_text(block("javascript") + call)
    done = subprocess.run(
        ["node", str(script), target, SECRET],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{target}&signature={signature}\n"


@pytest.mark.skipif(not shutil.which("php"), reason="php is not installed")
@pytest.mark.parametrize(("target", "signature"), VECTORS)
def test_php_makes_them(target: str, signature: str) -> None:
    call = f"{block('php')} echo sign($argv[1], $argv[2]);"
    done = subprocess.run(
        ["php", "-r", call, target, SECRET], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{target}&signature={signature}"


def test_the_command_signs_as_the_document_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIMEO_URL_KEYS", f"2026:{SECRET}")
    monkeypatch.setenv("MIMEO_STORE", "none")

    assert (
        main(
            [
                "sign",
                "/images/card.png?title=%E7%8E%8B%E5%B0%8F%E6%98%8E",
                "--expires",
                "never",
            ]
        )
        == 0
    )

    [target, signature] = next(row for row in VECTORS if "never" in row[0])
    assert capsys.readouterr().out == f"{target}&signature={signature}\n"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["sign", "card.png"], "with a path"),
        (["sign", "/a?key=1"], "belong to the signature"),
        (["sign", "/a", "--free", "key"], "not the name"),
        (["sign", "/a", "--expires", "soon"], "--expires"),
        (["sign", "/a", "--key", "lost"], "no secret"),
        (["key", "new", "--scopes", "everything"], "no scope"),
    ],
)
def test_what_cannot_be_signed_is_said(monkeypatch, capsys, arguments, word) -> None:
    monkeypatch.setenv("MIMEO_URL_KEYS", f"2026:{SECRET}")
    monkeypatch.setenv("MIMEO_STORE", "none")

    assert main(arguments) == 2
    assert word in capsys.readouterr().err
