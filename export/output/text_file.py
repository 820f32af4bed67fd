"""Text files that appear in one step, so no reader sees an incomplete file."""

from __future__ import annotations

from pathlib import Path


def write_text_file(path: Path, text: str) -> None:
    """Write a UTF-8 file under another name, then rename it; overwrites.

    Args:
        path: the file; its folder is made if it is missing.
        text: the content; a character that UTF-8 cannot express becomes ``?``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    # A file name that is not UTF-8 arrives as half surrogate pairs.
    scratch.write_text(text, encoding="utf-8", errors="replace", newline="")
    scratch.replace(path)
