"""`mimeo new template NAME`: a template of your own, copied of one that works."""

import argparse
import json
import os
import re
import shlex
from pathlib import Path

from app.bootstrap import open_catalogue
from app.cli.command_parser import CommandParser, Commands, add_command
from app.cli.exit_status import ExitStatus
from app.cli.options import Misuse
from app.cli.progress import say
from app.config import Settings
from app.renderer.catalogue import PACKAGED, Catalogue
from app.renderer.template.template_files import DECLARATION, NAME, NAMING

_EXAMPLES = (
    "mimeo new template badge2",
    "mimeo new template flyer --from card --into templates",
)
# Made where no folder is named: the one of docs/how-to/own-template.md.
_DEFAULT = "templates"
_TITLE = re.compile(r"^title\s*=.*$", re.MULTILINE)


def add(commands: "Commands[CommandParser]") -> None:
    """Add the command to the parser of `mimeo`."""
    new = add_command(commands, "new", "begin a template of your own", _EXAMPLES)
    kinds = new.add_subparsers(required=True, metavar="WHAT")
    about = "make a folder with the files of a template"
    template = add_command(kinds, "template", about, _EXAMPLES)
    template.add_argument("name", metavar="NAME", help="what it is called in URLs")
    template.add_argument(
        "--from",
        dest="origin",
        metavar="TEMPLATE",
        default="badge",
        help="the one it is copied of (badge)",
    )
    template.add_argument(
        "--into",
        metavar="FOLDER",
        help=f"the folder of your templates (MIMEO_TEMPLATES, or ./{_DEFAULT})",
    )
    template.add_argument("--json", action="store_true", help="what was made")
    template.set_defaults(run=_make)


def _make(options: argparse.Namespace) -> int:
    name = options.name
    if not NAME.match(name):
        raise Misuse(f"{name}: a template's name {NAMING}; --into says in which folder")
    settings = Settings.from_env(os.environ)
    catalogue = open_catalogue(settings, os.environ)
    if name in {*catalogue.names(), *catalogue.broken()}:
        raise Misuse(f"{name}: is a renderer already; choose another name")
    source = _source(options.origin, settings.templates, catalogue)
    parent = _parent(options.into, settings.templates)
    folder = parent / name
    try:
        files = {each.name: each.read_bytes() for each in _files(source)}
        declared = files[DECLARATION].decode()
        title = f"title = {json.dumps(name.replace('-', ' ').capitalize())}"
        files[DECLARATION] = _TITLE.sub(title, declared, 1).encode()
        # Refuses what is there, also a link to nowhere.
        folder.mkdir()
        for file, data in files.items():
            (folder / file).write_bytes(data)
    except FileExistsError as error:
        raise Misuse(f"{folder}: is there already; choose another name") from error
    except OSError as error:
        raise Misuse(f"{error.filename}: {error.strerror}") from error
    _tell(folder, sorted(files), as_json=options.json)
    return ExitStatus.DONE


def _source(origin: str, own: Path | None, catalogue: Catalogue) -> Path:
    """Return the folder of a template that can be drawn; raise Misuse."""
    homes = [home for home in (own, PACKAGED) if home is not None]
    known = {
        name: next((home / name for home in homes if (home / name).is_dir()), None)
        for name in catalogue.names()
    }
    folder = known.get(origin)
    if folder is None:
        names = ", ".join(name for name, place in known.items() if place)
        raise Misuse(f"--from {origin}: is none of the templates {names}")
    return folder


def _parent(into: str | None, own: Path | None) -> Path:
    """Return the folder that templates are in; raise Misuse."""
    if into is None and own is not None:
        return own
    parent = Path(_DEFAULT if into is None else into)
    try:
        if into is None:
            parent.mkdir(exist_ok=True)
    except OSError as error:
        raise Misuse(f"{parent}: {error.strerror}; give --into FOLDER") from error
    if not parent.is_dir() or into == "":
        raise Misuse(f"--into {into}: there is no such folder; make it first")
    return parent


def _files(folder: Path) -> list[Path]:
    """Return what a template is made of; it reads no folder below its own."""
    return [
        each
        for each in sorted(folder.iterdir())
        if each.is_file() and not each.name.startswith(".")
    ]


def _tell(folder: Path, files: list[str], *, as_json: bool) -> None:
    place = shlex.quote(str(folder.parent))
    then = f"mimeo preview {folder.name} --templates {place}"
    if as_json:
        made = {"name": folder.name, "folder": str(folder), "files": files}
        print(json.dumps({**made, "preview": then}, indent=2))
        return
    for file in files:
        print(folder / file)
    say(f"edit them, and see them by: {then}")
