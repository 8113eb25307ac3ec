"""The one way from a request to media: store, singleflight, admission, drawing."""
