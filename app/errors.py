"""Exceptions whose fields are declared, as those of a dataclass are."""

from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar, dataclass_transform

Raised = TypeVar("Raised", bound=Exception)


@dataclass_transform(eq_default=False)
def with_fields(error: type[Raised]) -> type[Raised]:
    """Make a dataclass of a class of exceptions.

    An exception's `args` are its fields, so that it survives the way between processes
    however it was built. Two exceptions are equal only where they are one.
    """
    made = dataclass(eq=False, repr=False)(error)
    initialize = made.__init__

    @wraps(initialize)
    def initialize_with_args(self: Any, *values: Any, **named: Any) -> None:
        initialize(self, *values, **named)
        self.args = tuple(getattr(self, field.name) for field in fields(self))

    made.__init__ = initialize_with_args  # type: ignore[method-assign]
    return made
