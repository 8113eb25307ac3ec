"""Commands and their options by argparse, with examples, and errors in one line."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from app.cli.exit_status import ExitStatus
from app.renderer.errors import nearest, shorten

Commands = argparse._SubParsersAction


class CommandParser(argparse.ArgumentParser):
    """A parser that takes no option but by its whole name, and no other arguments.

    The help of `examples`, which are command lines, ends with them.
    """

    def __init__(self, *, examples: Sequence[str] = (), **more: Any) -> None:
        super().__init__(
            **{"epilog": written(examples), **more},
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.examples = tuple(examples)

    # argparse asks the parser of a command by this method, and names what is left
    # without the command.
    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        """Read arguments, none of which may be unknown."""
        options, left = super().parse_known_args(args, namespace)
        if left:
            like = nearest(left[0].partition("=")[0], self._option_string_actions)
            meant = f" (did you mean {like}?)" if like else ""
            self.error(f"{shorten(left[0])}: is not known{meant}")
        return options, []

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong and where more is said; end the program."""
        text = message.removeprefix("argument ")
        self.exit(ExitStatus.MISUSE, f"mimeo: {text}; see `{self.prog} --help`\n")


def add_command(
    commands: "Commands[CommandParser]",
    name: str,
    text: str,
    examples: Sequence[str] = (),
    **more: Any,
) -> CommandParser:
    """Add a command; `text` is what it does, without a capital and a full stop."""
    sentence = f"{text[0].upper()}{text[1:]}."
    return commands.add_parser(
        name, help=text, description=sentence, examples=examples, **more
    )


def written(examples: Sequence[str]) -> str | None:
    """Write examples as a help has them."""
    lines = [f"  {each}" for each in examples]
    return "\n".join(("examples:", *lines)) if lines else None
