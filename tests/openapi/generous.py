"""Drops requests that the schemas do not allow and that are read all the same.

Schemas say how a value is best written. What else has one meaning is no error, such as
`"300"` for a number, an empty text for what was left out, or a list of items for the
object that has them (docs/decisions/openapi.md).
"""

import re
from collections.abc import Iterator
from typing import Any

import schemathesis
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SWITCH = re.compile(r"1|0|true|false|on|off|yes|no", re.IGNORECASE)


def is_meant(value: Any, kind: str) -> bool:
    """Tell whether a JSON value of another type may be read as one of this."""
    if kind == "string":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("integer", "number"):
        return isinstance(value, str) and _NUMBER.fullmatch(value) is not None
    if kind == "boolean":
        return isinstance(value, str) and _SWITCH.fullmatch(value) is not None
    return False


def _type(validator: Any, kinds: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    names = [kinds] if isinstance(kinds, str) else kinds
    if not any(validator.is_type(value, n) or is_meant(value, n) for n in names):
        yield ValidationError(f"{value!r} is not of {names}")


_Generous = extend(Draft202012Validator, {"type": _type})


# By path and method: a process asks one server.
_VALIDATORS: dict[tuple[str, str], tuple[Validator, Validator]] = {}


def _make_validators(
    document: Any, path: str, method: str
) -> tuple[Validator, Validator]:
    body = document["paths"][path][method]["requestBody"]
    if "$ref" in body:
        body = document["components"]["requestBodies"][body["$ref"].rpartition("/")[2]]
    rows = body["content"]["application/json"]["schema"]
    whole = {**rows, "components": document["components"]}
    return Draft202012Validator(whole), _Generous(whole)


def _has_blank(values: Any) -> bool:
    """Tell whether a field is there that nobody filled in."""
    if not isinstance(values, dict):
        return False
    return any(each == "" or _has_blank(each) for each in values.values())


@schemathesis.hook
def filter_case(_: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Keep a request unless it is wrong by the schemas' types alone."""
    if _has_blank(case.query) or _has_blank(case.body) or isinstance(case.body, list):
        return False
    if case.media_type != "application/json":
        return True
    place = (case.operation.path, case.operation.method.lower())
    if place not in _VALIDATORS:
        document = case.operation.schema.raw_schema
        _VALIDATORS[place] = _make_validators(document, *place)
    strict, generous = _VALIDATORS[place]
    return strict.is_valid(case.body) or not generous.is_valid(case.body)
