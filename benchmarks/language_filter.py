"""Measure the language filter on titles with hand-made labels, by language.

    python -m benchmarks.language_filter [FILE]

Each line of FILE has a language, a tab and a title. The default is the tests' file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from retrieval_server.text.language_filter import ENGLISH, LanguageFilter

HAND_LABELLED = (
    Path(__file__).parents[1] / "tests" / "support" / "export" / "hand_labelled_titles.tsv"
)
ENGLISH_NAME = "English"  # in FILE


def kept_by_language(file: Path, language_filter: LanguageFilter) -> dict[str, list[bool]]:
    """For each title of a file, whether the filter keeps it as English; by labelled language."""
    kept = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        language, title = line.split("\t")
        kept[language].append(language_filter.language(title) == ENGLISH)
    return kept


def main() -> None:
    """Print a table, and JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=HAND_LABELLED)
    kept = kept_by_language(parser.parse_args().file, LanguageFilter())
    out = sys.stdout
    for language, titles_kept in sorted(kept.items()):
        is_english = language == ENGLISH_NAME
        correct = titles_kept.count(is_english) / len(titles_kept)
        verb = "kept" if is_english else "left out"
        out.write(f"{language:<12}{len(titles_kept):>6}  {verb:<9}{correct:.3f}\n")
    english = kept.pop(ENGLISH_NAME, [])
    others = [is_kept for titles_kept in kept.values() for is_kept in titles_kept]
    summary = {
        "english": len(english),
        "kept": round(sum(english) / max(1, len(english)), 4),
        "others": len(others),
        "left_out": round(others.count(False) / max(1, len(others)), 4),
    }
    out.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
