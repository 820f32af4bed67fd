"""Constants of the tests of the page's calls."""

HERE = "http://127.0.0.1:8080"
PNG = b"\x89PNG\r\n\x1a\n and the rest"
