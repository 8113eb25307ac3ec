"""Markdown to HTML, by markdown-it-py, its code coloured by Pygments."""

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from types import MappingProxyType
from typing import Any

from markdown_it import MarkdownIt
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]

# Loaded with this module: the process that draws can open no file later. A language
# in which others are nested would want theirs.
_LANGUAGES = (
    *("bash", "c", "clojure", "console", "cpp", "csharp", "css", "dart", "diff"),
    *("docker", "elixir", "erlang", "go", "graphql", "haskell", "html", "ini", "java"),
    *("javascript", "json", "julia", "kotlin", "lua", "make", "nginx", "perl", "php"),
    *("powershell", "python", "r", "ruby", "rust", "scala", "scss", "sql", "swift"),
    *("toml", "typescript", "xml", "yaml"),
)
_LEXERS: Mapping[str, Any] = MappingProxyType(
    {
        alias: lexer
        for lexer in map(get_lexer_by_name, _LANGUAGES)
        for alias in lexer.aliases
    }
)
_FORMATTER = HtmlFormatter(nowrap=True)


def _colored(code: str, language: str, _: str) -> str:
    lexer = _LEXERS.get(language.lower())
    if lexer is None:
        return escape(code, quote=False)
    return str(highlight(code, lexer, _FORMATTER))


@lru_cache(1)
def _parser() -> MarkdownIt:
    options = {"html": False, "linkify": False, "highlight": _colored}
    return MarkdownIt("commonmark", options).enable(["table", "strikethrough"])


def read(text: str) -> str:
    """Return the HTML of a text in Markdown; HTML in it is text."""
    # The end of a code's last line would be an empty one in the page.
    return str(_parser().render(text)).replace("\n</code></pre>", "</code></pre>")


def _rules(name: str) -> str:
    rules = HtmlFormatter(style=name).get_style_defs("pre")
    # The ground is the page's.
    return "".join(line for line in rules.splitlines() if line.startswith("pre ."))


# The style sheets of coloured code, by theme.
STYLES: Mapping[str, str] = MappingProxyType(
    {"light": _rules("friendly"), "dark": _rules("one-dark")}
)
