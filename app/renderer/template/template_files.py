"""A template's files in memory: read from a folder, or sent by somebody."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.renderer.errors import BrokenTemplate

MARKUP, DECLARATION = "template.html", "parameters.toml"
# A folder of such a name is a template.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")
NAMING = "must be a to z, 0 to 9, - and _, up to 40, and begin with a letter"
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg"})


@dataclass(frozen=True)
class TemplateFiles:
    """The markup, the declaration and the pictures of a template, by file name."""

    name: str
    files: Mapping[str, bytes]

    @property
    def pictures(self) -> dict[str, bytes]:
        """What `<img src="logo.png">` may name."""
        return {
            name: data
            for name, data in sorted(self.files.items())
            if "/" not in name and Path(name).suffix.lower() in PICTURES
        }

    def text(self, file: str) -> str:
        """Return a file as text; raise BrokenTemplate where there is none.

        A byte order mark, with which editors of Windows begin a file, is no text.
        """
        try:
            return self.files[file].decode("utf-8-sig")
        except KeyError as error:
            reason = f"is missing: a template has a {MARKUP} and a {DECLARATION}"
            raise self.broken(file, None, reason) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise self.broken(file, line, "is not UTF-8") from error

    def broken(self, file: str, line: int | None, reason: str) -> BrokenTemplate:
        """Build the error for one of the files."""
        return BrokenTemplate(self.name, f"{self.name}/{file}", line, reason)

    def digest(self) -> str:
        """Return what changes when a name or a byte does, on whatever machine."""
        total = hashlib.sha256()
        for name in sorted(self.files, key=lambda name: name.split("/")):
            total.update(f"{name}\0".encode())
            total.update(hashlib.sha256(self.files[name]).digest())
        return total.hexdigest()


def read_files(folder: Path) -> TemplateFiles:
    """Read a folder; raise BrokenTemplate where a file of a template cannot be read.

    What is no part of a template decides its digest only, so it is read too.
    """
    found: dict[str, bytes] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            raise TemplateFiles(folder.name, {}).broken(name, None, reason) from error
    return TemplateFiles(folder.name, found)
