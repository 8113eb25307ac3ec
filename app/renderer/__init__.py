"""Everything that turns parameters into pixels; knows nothing of the web."""

from PIL import Image

# Whoever opens an image here has compared its pixels with a limit of the operator's,
# or does so before decoding. Pillow's own bound would refuse later and otherwise, and
# its warning can be silenced only for all threads at once.
Image.MAX_IMAGE_PIXELS = None
