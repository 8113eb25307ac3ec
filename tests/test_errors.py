"""Exceptions keep their declared fields, however they are built and wherever sent."""

import pickle

from app.errors import with_fields


@with_fields
class Late(Exception):
    """A train is late."""

    line: str
    minutes: int = 5

    def __str__(self) -> str:
        return f"{self.line} is {self.minutes} minutes late"


def test_error_with_fields_survives_the_way_between_processes():
    error = Late(line="S1")

    copy = pickle.loads(pickle.dumps(error))

    assert (copy.args, vars(copy)) == (error.args, vars(error))
    assert error.args == ("S1", 5)


def test_two_errors_of_equal_fields_are_two():
    first, second = Late("S1"), Late("S1")

    assert first != second
    assert {first, second} == {second, first}
