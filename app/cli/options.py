"""Options of a command line that are a renderer's own: `--NAME VALUE`."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from app.parsing.image import file_pair
from app.renderer.errors import BadParameter

# What reads a parameter's JSON Schema by the parameter's name.
SchemaOf = Callable[[str], Mapping[str, Any]]


# Of a file that is a parameter's value, and characters of one that holds a key.
_MOST_BYTES, _MOST_KEY = 256 << 20, 4096


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
        if spelt in flags:
            raise Misuse(f"{spelt}: takes no value")
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
            with (
                nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb") as at
            ):
                data = at.read(_MOST_BYTES + 1)
        except OSError as error:
            raise Misuse(f"--{name}: {file}: {error.strerror}") from error
        if len(data) > _MOST_BYTES:
            raise Misuse(f"--{name}: {file}: is over {_MOST_BYTES >> 20} MiB")
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
        with Path(file).open() as opened:
            text = opened.read(_MOST_KEY + 1)
    except OSError as error:
        raise Misuse(f"--key-file {file}: {error.strerror}") from error
    except UnicodeError as error:
        raise Misuse(f"--key-file {file}: is no text") from error
    if not text.strip() or len(text) > _MOST_KEY or not text.isascii():
        raise Misuse(f"--key-file {file}: holds no key: make one by `mimeo key new`")
    return text.strip()


def holds_bytes(schema: Mapping[str, Any]) -> bool:
    """Tell whether a parameter is a file of bytes, by its JSON Schema."""
    return any("contentEncoding" in kind for kind in variants(schema))


def variants(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return a schema and those that it is any of."""
    return (schema, *schema.get("anyOf", ()))
