"""Tables of results, for the terminal or as Markdown."""

from collections.abc import Sequence

from benchmarks import machine

Cells = Sequence[str]


def show(title: str, head: Cells, rows: Sequence[Cells], markdown: bool) -> str:
    """Return a table; the first column is text, the others are aligned right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [_line(row, widths, markdown) for row in (head, *rows)]
    lines.insert(1, _rule(widths, markdown))
    mark = "### " if markdown else ""
    return "\n".join([f"{mark}{title}", *([""] if markdown else []), *lines, ""])


def _line(row: Cells, widths: Sequence[int], markdown: bool) -> str:
    cells = [row[0].ljust(widths[0])]
    cells += [
        cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
    ]
    return f"| {' | '.join(cells)} |" if markdown else "  ".join(cells)


def _rule(widths: Sequence[int], markdown: bool) -> str:
    if not markdown:
        return "  ".join("-" * width for width in widths)
    rest = "".join(f" {'-' * (width - 1)}: |" for width in widths[1:])
    return f"| {'-' * widths[0]} |{rest}"


def show_machine(markdown: bool) -> str:
    """Return the machine as lines, or as a Markdown list."""
    mark = "- " if markdown else ""
    return "\n".join(f"{mark}{k}: {v}" for k, v in machine.describe().items()) + "\n"
