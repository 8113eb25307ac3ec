"""Builds the documents as a site, in the folder that the server sends at `/docs`.

Links that leave `docs` are followed: a document becomes a page, another file a
download. Sphinx reads a copy in which they are; a warning is an error.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
HERE = DOCS / "site"
SITE = ROOT / "app/views/static/manual"
# Documents beside `docs`, and the pages that they become.
OTHERS = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
}
# A target in Markdown, or in HTML within it.
LINK = re.compile(r"""(\]\(|\b(?:src|srcset)=")(?![a-z]+:|#|/)([^)"#\s]+)""")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# What only makes the site larger.
UNWANTED = ("*.map", "debug.css", "objects.inv", "file.png", "plus.png", "minus.png")


def place(path: Path) -> str:
    """Return where a file of the project is in the copy that Sphinx reads."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return OTHERS.get(name, f"files/{name}")


class Copy:
    """What Sphinx reads: documents whose links lead to where their targets are now."""

    def __init__(self, source: Path, shown: Path) -> None:
        self._source = source
        self._shown = shown

    def write(self, document: Path) -> None:
        """Write a document, and the files that it links to."""
        parts, end = [], 0
        text = document.read_text()
        # A fence is code, where a bracket is no link.
        for fence in FENCE.finditer(text):
            parts += [self._moved(document, text[end : fence.start()]), fence[0]]
            end = fence.end()
        parts.append(self._moved(document, text[end:]))
        target = self._source / place(document)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(parts))

    def _moved(self, document: Path, text: str) -> str:
        here = Path(place(document)).parent
        return LINK.sub(lambda found: self._link(document, here, found), text)

    def _link(self, document: Path, here: Path, found: re.Match[str]) -> str:
        target = (document.parent / found[2]).resolve()
        if not target.is_file():
            return found[0]
        to = place(target)
        # Sphinx takes links in Markdown along, and HTML as it is.
        folder = self._source if found[1] == "](" else self._shown
        if target.suffix != ".md":
            (folder / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, folder / to)
        return f"{found[1]}{os.path.relpath(to, here)}"


def build(scratch: Path) -> int:
    """Build the site in a folder and put it in its place; return the exit status."""
    source, shown, out = scratch / "source", scratch / "shown", scratch / "out"
    shown.mkdir()
    copy = Copy(source, shown)
    for document in [*DOCS.rglob("*.md"), *(ROOT / name for name in OTHERS)]:
        copy.write(document)
    options = ["-q", "-W", "--keep-going", "-c", str(HERE), "-b", "html"]
    options += ["-d", str(scratch / "kept"), "-D", f"html_extra_path={shown}"]
    status = sphinx([*options, str(source), str(out)])
    if status:
        return status
    for each in [path for name in UNWANTED for path in out.rglob(name)]:
        each.unlink()
    (out / ".buildinfo").unlink()
    (out / "_sources").rmdir()
    new = SITE.with_name(f"{SITE.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(out, new)
    shutil.rmtree(SITE, ignore_errors=True)
    new.rename(SITE)
    return 0


def main() -> int:
    """Build the site; return the exit status."""
    sys.path.insert(0, str(ROOT))
    with TemporaryDirectory() as scratch:
        return build(Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
