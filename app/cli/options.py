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


def split_options(
    arguments: Sequence[str], flags: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield name and value of `--name value` and `--name=value`; `-o` is `output`.

    Those of `flags` have no value.
    """
    left = iter(arguments)
    for option in left:
        if option in flags:
            yield option[2:].replace("-", "_"), ""
            continue
        if option != "-o" and not option.startswith("--"):
            raise Misuse(f"{option}: is not an option; parameters are --NAME VALUE")
        spelt, equals, value = option.partition("=")
        if not equals:
            try:
                value = next(left)
            except StopIteration:
                raise Misuse(f"{option}: needs a value") from None
        name = "output" if spelt == "-o" else spelt[2:].replace("-", "_")
        yield name, value


def read_files(
    pairs: Iterable[tuple[str, str]], schema_of: SchemaOf
) -> Iterator[tuple[str, str]]:
    """Replace the files that options with `@` name by what is in them; raise Misuse."""
    for name, file in pairs:
        if not name.endswith("@"):
            yield name, file
            continue
        try:
            data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        except OSError as error:
            raise Misuse(f"--{name}: {file}: {error.strerror}") from error
        parameter = name[:-1]
        text = not holds_bytes(schema_of(parameter))
        try:
            yield file_pair(parameter, data, text=text)
        except BadParameter as error:
            raise Misuse(f"--{name}: {file}: is not UTF-8 text") from error


def read_key(file: str | None) -> str | None:
    """Return the key in the file that `--key-file` names, if any; raise Misuse."""
    if file is None:
        return None
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise Misuse(f"--key-file: cannot be read: {error}") from error


def holds_bytes(schema: Mapping[str, Any]) -> bool:
    """Tell whether a parameter is a file of bytes, by its JSON Schema."""
    return any("contentEncoding" in kind for kind in variants(schema))


def variants(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return a schema and those that it is any of."""
    return (schema, *schema.get("anyOf", ()))
