"""A caller's HTML, read as browsers read it and written as the engine draws it."""

# As in a browser's screenshot the ground is white unless the page says otherwise:
# `html { background: transparent }` keeps the alpha. Unlike there, the body has
# no margin, and both fill the picture, so that percentages work.
BASE = (
    "html{width:100%;height:100%;background:#ffffff}"
    "body{width:100%;height:100%;margin:0}"
)
