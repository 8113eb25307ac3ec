"""What there is to say of the loaded families, and how one is found by name."""

import pytest

from app.renderer.engine.engine import Engine
from app.renderer.engine.families import SAMPLES, Family, find
from app.renderer.engine.text_fitting import families


def family(engine: Engine, name: str) -> Family:
    return next(each for each in engine.describe() if each.name == name)


def test_a_variable_family_has_a_range_of_weights(engine: Engine) -> None:
    inter = family(engine, "Inter")

    assert (inter.variable, inter.weights) == (True, (100, 900))
    assert inter.styles == ("normal", "italic")
    assert inter.scripts == ("Latin", "Greek", "Cyrillic")
    assert (inter.licence, inter.source) == ("OFL-1.1", "packaged")


def test_a_family_of_several_files_has_their_weights(engine: Engine) -> None:
    found = family(engine, "Hind Siliguri")

    assert (found.variable, found.weights) == (False, (400, 600, 700))
    assert "Bengali" in found.scripts


def test_the_packaged_families_draw_every_script_and_name_their_licence(
    engine: Engine,
) -> None:
    found = engine.describe()

    assert {script for each in found for script in each.scripts} == SAMPLES.keys()
    assert {each.licence for each in found} == {"OFL-1.1"}
    assert [each.name for each in found] == sorted(engine.families)


@pytest.mark.parametrize("name", ["Source Serif 4", "source serif 4", "SOURCE-serif_4"])
def test_a_family_is_found_in_any_spelling(name: str) -> None:
    assert find(name, ["Inter", "Source Serif 4"]) == "Source Serif 4"


@pytest.mark.parametrize(
    ("name", "message"),
    [("Intr", "did you mean 'Inter'"), ("zzz", r"is no font here\. /fonts")],
)
def test_an_unknown_family_is_refused_with_a_hint(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find(name, ["Inter", "Lora"])


def test_a_family_that_has_the_letters_comes_before_that_of_the_script(
    engine: Engine,
) -> None:
    text = "\u05e9\u05dc\u05d5\u05dd"

    assert families(text, "Inter", engine.covers) == "'Heebo', 'Inter'"
    assert families(text, "Heebo", engine.covers) == "'Heebo'"
    assert families("caf\u00e9", "Inter", engine.covers) == "'Inter'"
