"""The command line of `mimeo batch`: table, target, who draws, and the query."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bootstrap import open_catalogue
from app.cli.client.api import Server
from app.cli.options import Misuse, read_files, split_options
from app.config import Settings
from app.renderer.errors import BadParameter

_JSON = "application/json"
# What a file is, by its ending.
_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".json": _JSON,
}
# Options that say what the query of `POST /collections` says, and its name for them.
_QUERY = {"renderer": "renderer", "file_name": "name", "ignore": "ignore"}
_OWN = (*_QUERY, "output", "type", "url")
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; `source` and `target` may be `-`.

    `pairs` are named as the query of `POST /collections` names them. Without a `url`
    the images are drawn here.
    """

    source: str
    media_type: str
    target: str
    url: str | None
    pairs: tuple[_Pair, ...]

    def spell(self, error: BadParameter) -> str:
        """Say what is wrong in the words of whoever gave it: options, or members."""
        options = {query: option for option, query in _QUERY.items()}
        prefix = "" if _is_json(self.media_type) else "--"
        faults = (
            f"{prefix}{_dashed(options.get(field, field) if prefix else field)}: {why}"
            for field, why in error.faults
        )
        return "; ".join(faults)


def read_order(arguments: Sequence[str]) -> Order:
    """Read the command line; raise Misuse, BadSetting and what a server raises."""
    source = arguments[0]
    if source != "-" and source.startswith("-"):
        raise Misuse("FILE: comes first: mimeo batch FILE --renderer NAME -o FILE.zip")
    given = list(split_options(arguments[1:]))
    own = _own(given)
    shared = [pair for pair in given if pair[0] not in _OWN]
    media_type = own.get("type") or _type_of(source)
    _check_target(own.get("output"))
    _check_place(own, [name for name, _ in shared], media_type)
    pairs = [(query, own[name]) for name, query in _QUERY.items() if name in own]
    pairs += _with_files(shared, own)
    return Order(source, media_type, own["output"], own.get("url"), tuple(pairs))


def _own(given: Iterable[_Pair]) -> dict[str, str]:
    own: dict[str, str] = {}
    for name, value in given:
        if name in own:
            raise Misuse(f"--{_dashed(name)}: is given twice")
        if name in _OWN:
            own[name] = value
    return own


def _type_of(source: str) -> str:
    """Return the media type that an ending names; a table's for standard input."""
    if source == "-":
        return "text/csv"
    ending = Path(source).suffix.lower()
    if ending not in _TYPES:
        known = ", ".join(_TYPES)
        raise Misuse(f"{source}: the ending must be one of {known}; or use --type")
    return _TYPES[ending]


def _check_target(target: str | None) -> None:
    """Refuse before the work what would fail after it."""
    if target is None:
        raise Misuse("-o FILE: give one file for the ZIP, or - for standard output")
    if target == "-":
        return
    if Path(target).is_dir():
        raise Misuse(f"-o {target}: is a folder")
    if not Path(target).parent.is_dir():
        raise Misuse(f"-o {target}: there is no such folder")


def _check_place(own: Mapping[str, str], names: list[str], media_type: str) -> None:
    """Refuse options that mean nothing for the kind of file, or something else."""
    if _is_json(media_type):
        for name in (*(name for name in _QUERY if name in own), *names):
            raise Misuse(f"--{_dashed(name)}: belongs into the file, which is JSON")
        return
    if "renderer" not in own:
        raise Misuse("--renderer: is required; `mimeo renderers` lists them")
    # In a query, `name` is the pattern of file names.
    if "name" in names or "name@" in names:
        raise Misuse("--name: give it in each row; file names have --file-name")


def _with_files(shared: list[_Pair], own: Mapping[str, str]) -> list[_Pair]:
    """Read the files of shared parameters; the renderer says which of them are text."""
    if not any(name.endswith("@") for name, _ in shared):
        return shared
    schemas = _schemas(own["renderer"], own.get("url"))
    return list(read_files(shared, lambda name: schemas.get(name, {})))


def _schemas(renderer: str, url: str | None) -> Mapping[str, Any]:
    if url is not None:
        with closing(Server(url)) as server:
            return server.parameters(renderer)
    found = open_catalogue(Settings.from_env(os.environ), os.environ).get(renderer)
    schemas: Mapping[str, Any] = found.parameters.model_json_schema()["properties"]
    return schemas


def _is_json(media_type: str) -> bool:
    return media_type.partition(";")[0].strip().lower() == _JSON


def _dashed(name: str) -> str:
    return name.replace("_", "-")
