"""Options of a command line that are a renderer's own: `--NAME VALUE`."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.parsing.image import file_pair
from app.renderer.errors import BadParameter

# What reads a parameter's JSON Schema by the parameter's name.
SchemaOf = Callable[[str], Mapping[str, Any]]


class Misuse(Exception):
    """The command line cannot be carried out; the text names the option."""


def read_options(
    arguments: Sequence[str], schema_of: SchemaOf
) -> Iterator[tuple[str, str]]:
    """Read options and the files that they name; raise Misuse."""
    return read_files(split_options(arguments), schema_of)


def split_options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and value of `--name value` and `--name=value`; `-o` is `output`."""
    left = iter(arguments)
    for option in left:
        if option != "-o" and not option.startswith("--"):
            raise Misuse(f"{option}: is not an option; parameters are --NAME VALUE")
        spelt, equals, value = option.partition("=")
        if not equals:
            value = _next(left, option)
        name = "output" if spelt == "-o" else spelt[2:].replace("-", "_")
        yield name, value


def read_files(
    pairs: Iterable[tuple[str, str]], schema_of: SchemaOf
) -> Iterator[tuple[str, str]]:
    """Replace the files that options with `@` name by what is in them."""
    for name, value in pairs:
        if name.endswith("@"):
            yield _from_file(schema_of(name[:-1]), name[:-1], value)
        else:
            yield name, value


def holds_bytes(schema: Mapping[str, Any]) -> bool:
    """Tell whether a parameter is a file of bytes, by its JSON Schema."""
    return any("contentEncoding" in kind for kind in variants(schema))


def variants(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return a schema and those that it is any of."""
    return (schema, *schema.get("anyOf", ()))


def _next(left: Iterator[str], option: str) -> str:
    value = next(left, None)
    if value is None:
        raise Misuse(f"{option}: needs a value")
    return value


def _from_file(schema: Mapping[str, Any], name: str, file: str) -> tuple[str, str]:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Misuse(f"--{name}@: {file}: {error.strerror}") from error
    try:
        return file_pair(name, data, text=not holds_bytes(schema))
    except BadParameter as error:
        raise Misuse(f"--{name}@: {file}: is not UTF-8 text") from error
