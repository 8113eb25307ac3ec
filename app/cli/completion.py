"""`mimeo completion`: a script by which a shell completes commands and options.

It is written once for all renderers there are: to ask Python at each key takes a
second.
"""

from collections.abc import Mapping
from typing import Any

import shtab
from pydantic import BaseModel

from app.cli.batch import FLAGS, OPTIONS
from app.cli.command_parser import CommandParser, Commands, add_command
from app.cli.options import holds_bytes, variants
from app.collection.export.print_sheet import PrintOptions
from app.renderer.base import Output
from app.renderer.catalogue import Catalogue
from app.renderer.produce import formats

SHELLS = ("bash", "fish", "zsh")
EXAMPLES = (
    "mimeo completion bash > ~/.local/share/bash-completion/completions/mimeo",
    "mimeo completion fish > ~/.config/fish/completions/mimeo.fish",
    "mimeo completion zsh > ~/.zfunc/_mimeo",
)
_FILES = ("--output", "--key-file")


def add_render(commands: "Commands[CommandParser]", catalogue: Catalogue) -> None:
    """Add `mimeo render`, with a command for each renderer."""
    render = add_command(commands, "render", "make one image")
    renderers = render.add_subparsers(metavar="RENDERER")
    for renderer in catalogue.renderers():
        parser = add_command(renderers, renderer.name, renderer.title)
        _add(parser, "--output", {})
        known = {**_properties(Output), **_properties(renderer.parameters)}
        known["format"] = {**known["format"], "enum": formats(renderer)}
        for option, schema in known.items():
            flag = f"--{option.replace('_', '-')}"
            _add(parser, f"{flag}@" if holds_bytes(schema) else flag, schema)


def add_batch(commands: "Commands[CommandParser]", catalogue: Catalogue) -> None:
    """Add `mimeo batch`, with the options that it has with any renderer."""
    parser = add_command(commands, "batch", "make an image of every row")
    parser.add_argument("file").complete = shtab.FILE  # type: ignore[attr-defined]
    _add(parser, "--bind", {})
    known = {
        **{option: {} for option in OPTIONS},
        "renderer": {"enum": catalogue.names()},
        **{f"sheet_{name}": row for name, row in _properties(PrintOptions).items()},
        **_properties(Output),
    }
    for option, schema in known.items():
        flag = f"--{option.replace('_', '-')}"
        if flag in FLAGS:
            parser.add_argument(flag, action="store_true")
        else:
            _add(parser, flag, schema)


def _properties(model: type[BaseModel]) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = model.model_json_schema()["properties"]
    return found


def _add(parser: CommandParser, flag: str, schema: Mapping[str, Any]) -> None:
    """Add an option that takes what the JSON Schema says."""
    words = [word for kind in variants(schema) for word in kind.get("enum", ())]
    about = str(schema.get("description", "")).replace("%", "%%")
    spelt = ("-o", flag) if flag == "--output" else (flag,)
    option = parser.add_argument(*spelt, choices=words or None, help=about)
    if flag in _FILES or flag.endswith("@"):
        option.complete = shtab.FILE  # type: ignore[attr-defined]
