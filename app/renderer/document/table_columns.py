"""How wide the columns of a table are (CSS 2.2, 17.5.2; CSS Tables 3, 4.3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Column:
    """What a column asks for, in CSS pixels, its padding and borders among them.

    `least` is its longest word, `most` its longest line, `fixed` a width that somebody
    has set, `share` one in per cent of the table.
    """

    least: float = 0.0
    most: float = 0.0
    fixed: float | None = None
    share: float | None = None

    @property
    def wanted(self) -> float:
        """How wide it is where there is room."""
        return max(self.least, self.most if self.fixed is None else self.fixed)


def span(columns: Sequence[Column], least: float, most: float) -> None:
    """Let columns have room for a cell that spans them all."""
    lacking = most - sum(each.wanted for each in columns)
    for each, part in zip(columns, _parts(columns, lacking), strict=True):
        each.most = max(each.least, each.most + part)
    lacking = least - sum(each.least for each in columns)
    for each, part in zip(columns, _parts(columns, lacking), strict=True):
        each.least += part


def _parts(columns: Sequence[Column], amount: float) -> list[float]:
    """Share an amount out by what columns want, to those without a width at first."""
    if amount <= 0:
        return [0.0] * len(columns)
    free = [each.fixed is None and each.share is None for each in columns]
    weights = [
        each.wanted if is_free or not any(free) else 0.0
        for each, is_free in zip(columns, free, strict=True)
    ]
    total = sum(weights)
    if not total:
        return [amount / len(columns)] * len(columns)
    return [amount * weight / total for weight in weights]


def distribute(columns: Sequence[Column], width: float) -> list[float]:
    """Return the widths of columns that fill a table of so many CSS pixels.

    Those with a share grow to it first, then those with a width, then the others. What
    is left over goes to the others as their lines are long.
    """
    widths = [each.least for each in columns]
    targets = [
        max(each.least, each.share * width / 100)
        if each.share is not None
        else each.wanted
        for each in columns
    ]
    kinds = (
        [each.share is not None for each in columns],
        [each.share is None and each.fixed is not None for each in columns],
        [each.share is None and each.fixed is None for each in columns],
    )
    for chosen in kinds:
        lacking = [
            target - now if one else 0.0
            for target, now, one in zip(targets, widths, chosen, strict=True)
        ]
        room, total = width - sum(widths), sum(lacking)
        if room <= 0 or not total:
            continue
        part = min(1.0, room / total)
        widths = [now + part * more for now, more in zip(widths, lacking, strict=True)]
    return _spread(columns, widths, width - sum(widths), kinds[::-1])


def _spread(
    columns: Sequence[Column],
    widths: list[float],
    room: float,
    kinds: Iterable[Sequence[bool]],
) -> list[float]:
    if room <= 0:
        return widths
    for chosen in kinds:
        pairs = zip(columns, chosen, strict=True)
        filled = any(each.wanted for each, one in pairs if one)
        weights = [
            (each.wanted if filled else 1.0) if one else 0.0
            for each, one in zip(columns, chosen, strict=True)
        ]
        if total := sum(weights):
            return [
                now + room * weight / total
                for now, weight in zip(widths, weights, strict=True)
            ]
    return widths


def fixed(columns: Sequence[Column], width: float) -> list[float]:
    """Return the widths of columns by what is set alone (CSS 2.2, 17.5.2.1)."""
    given = [
        each.share * width / 100 if each.share is not None else each.fixed
        for each in columns
    ]
    free = sum(each is None for each in given)
    left = width - sum(each for each in given if each is not None)
    if free:
        return [max(0.0, left / free) if each is None else each for each in given]
    known = [each or 0.0 for each in given]
    total = sum(known)
    return [each * width / total if total else width / len(known) for each in known]
