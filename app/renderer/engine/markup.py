"""The text of markup, apart from its tags."""

import re
from collections.abc import Callable

# What is no text: comments, drawings and tags; each ends with the markup at the latest.
_NO_TEXT = re.compile(
    r"<!--.*?(?:-->|\Z)|<svg\b.*?(?:</svg\s*>|\Z)"
    r"""|</?[a-z](?:[^"'>]++|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+(?:>|\Z)""",
    re.IGNORECASE | re.DOTALL,
)


def map_text(markup: str, change: Callable[[str], str]) -> str:
    """Return markup with each piece of text between its tags changed.

    The pieces come with their character references. Tags, their attributes, comments
    and inline drawings stay. Takes linear time beside that of `change`.
    """
    parts: list[str] = []
    end = 0
    for tag in _NO_TEXT.finditer(markup):
        if tag.start() > end:
            parts.append(change(markup[end : tag.start()]))
        parts.append(tag[0])
        end = tag.end()
    parts.append(change(markup[end:]))
    return "".join(parts)
