"""How Sphinx makes the site; `build.py` calls it."""

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

project = "Mimeo"
copyright = "Mimeo contributors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
templates_path = ["templates"]
html_static_path = ["static"]
html_theme = "furo"
html_title = "Mimeo"
html_css_files = ["site.css"]
html_favicon = "../../app/views/static/studio/icon.svg"
html_copy_source = False
html_use_index = False
html_show_sourcelink = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "server.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
# Above three, Furo folds what nobody looks for.
toc_object_entries = False
myst_heading_anchors = 4
# Quotes stay as they are typed, for most stand in code.
smartquotes = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
# The picture of floors in the architecture, which a test reads.
lexers["floors"] = TextLexer()
