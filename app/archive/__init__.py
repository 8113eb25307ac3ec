"""ZIP archives laid out before a byte is sent; knows neither Flask nor pictures."""
