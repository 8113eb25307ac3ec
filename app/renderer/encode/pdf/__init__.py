"""Pages of PDF: outlines and text where a drawing has them, else a picture."""
