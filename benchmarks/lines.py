"""How much code `app/` is, beside another checkout: `python -m benchmarks.lines`.

A code line bears more than a comment and is no part of a docstring; blank lines are
neither. A comment is a line with a `#` comment, alone or behind code, without those
that a tool reads (`type: ignore`, `noqa`). Docstring lines are counted with their
quotes and blanks, a function's length from `def` to its end without its docstring.
"""

import argparse
import ast
import io
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from benchmarks import table, tree
from benchmarks.servers import ROOT

_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_BARE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
)
_TOOLS = ("# type:", "# noqa", "# pragma", "# fmt:")


@dataclass(slots=True)
class Count:
    """What a module or several have; `functions` are their lengths in lines."""

    modules: int = 0
    lines: int = 0
    code: int = 0
    docstrings: int = 0
    comments: int = 0
    classes: int = 0
    functions: list[int] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        """Count what the other counted, too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def count(text: str) -> Count:
    """Count one module."""
    nodes = list(ast.walk(ast.parse(text)))
    documented = set[int]()
    for node in nodes:
        documented |= _docstring(node)
    code, comments = set[int](), set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _BARE:
            code |= set(range(token.start[0], token.end[0] + 1))
        elif token.type == tokenize.COMMENT and not token.string.startswith(_TOOLS):
            comments.add(token.start[0])
    return Count(
        modules=1,
        lines=len(text.splitlines()),
        code=len(code - documented),
        docstrings=len(documented),
        comments=len(comments),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        functions=[
            _last(node) - node.lineno + 1 - len(_docstring(node))
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ],
    )


def _docstring(node: ast.AST) -> set[int]:
    """Return the lines of a node's docstring."""
    if not isinstance(node, _DOCUMENTED) or ast.get_docstring(node, False) is None:
        return set()
    first = node.body[0]
    return set(range(first.lineno, _last(first) + 1))


def _last(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def packages(of: Path) -> dict[str, Count]:
    """Count a checkout's `app/` by its folders and loose modules, and all of it."""
    found = {name: Count() for name in ("app/", "app/*.py")}
    for path in sorted((of / "app").rglob("*.py")):
        counted = count(path.read_text())
        inner = path.relative_to(of / "app").parts
        name = f"app/{inner[0]}/" if len(inner) > 1 else "app/*.py"
        for each in ("app/", name):
            found.setdefault(each, Count()).add(counted)
    return found


HEAD = (
    *("", "modules", "lines", "code", "docstrings %", "comments %", "of code %"),
    *("classes", "functions", "median", "p90", "longest"),
)


def _cells(name: str, of: Count) -> Sequence[str]:
    counts = (len(of.functions), *_lengths(of.functions))
    return (
        *(name, f"{of.modules}", f"{of.lines:,}", f"{of.code:,}"),
        f"{100 * of.docstrings / max(1, of.lines):.1f}",
        f"{100 * of.comments / max(1, of.lines):.1f}",
        f"{100 * of.comments / max(1, of.code):.1f}",
        f"{of.classes}",
        *(f"{count:,.0f}" for count in counts),
    )


def _lengths(lengths: Sequence[int]) -> tuple[float, float, float]:
    if len(lengths) < 2:
        return (sum(lengths),) * 3
    ninth = quantiles(lengths, n=10, method="inclusive")[-1]
    return median(lengths), ninth, max(lengths)


def _change(old: Count, new: Count) -> Iterator[str]:
    for name in ("modules", "lines", "code", "classes"):
        before, after = getattr(old, name), getattr(new, name)
        yield f"{name} {before:,} -> {after:,} ({after / before - 1:+.1%})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Count and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.lines", description=__doc__)
    parser.add_argument("--tree", default=str(ROOT), help="a checkout or a commit")
    parser.add_argument("--old", help="another, to compare with")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    with tree.checked_out(options.tree) as of:
        new = packages(of)
    rows = [_cells(name, counted) for name, counted in new.items()]
    print(table.show("Lines of app/", HEAD, rows, options.markdown))
    print("docstrings and comments: lines in 100 lines; of code: comments in 100 of it")
    if options.old:
        with tree.checked_out(options.old) as of:
            print("\n".join(_change(packages(of)["app/"], new["app/"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
