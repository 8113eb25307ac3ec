import pytest
import segno
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.renderer.builtin import qr_matrix


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120),
    st.sampled_from("LMQH"),
    st.booleans(),
)
# Finder patterns that overlap, and versions with alignment and version patterns.
@example("10111011101" * 9, "L", False)
@example("7" * 900, "M", True)
@example("HTTPS://EXAMPLE.ORG/" * 12, "H", False)
@settings(deadline=None, max_examples=150)
def test_a_code_has_the_mask_that_segno_chooses(data, level, boost) -> None:
    wanted = segno.make_qr(data, error=level, boost_error=boost).matrix

    made = qr_matrix.matrix_of(data, error=level, boost_error=boost)

    assert made == tuple(map(bytes, wanted))


@pytest.mark.parametrize("version", [1, 2, 6, 7, 14, 22])
def test_every_size_has_the_mask_that_segno_chooses(version) -> None:
    for number in range(3):
        data = f"{version} {number}"
        wanted = segno.make_qr(data, version=version).matrix

        assert qr_matrix.matrix_of(data, version=version) == tuple(map(bytes, wanted))


def test_the_penalty_is_that_of_segno() -> None:
    code = segno.make_qr("https://example.org/1", mask=3).matrix
    across = qr_matrix._number(code)
    down = qr_matrix._number(qr_matrix._turned(code))

    wanted = segno.encoder.evaluate_mask(code, len(code), len(code))

    assert qr_matrix._penalty(across, down, len(code)) == wanted


def test_data_too_long_is_an_error() -> None:
    with pytest.raises(segno.DataOverflowError):
        qr_matrix.matrix_of("x" * 5000)
