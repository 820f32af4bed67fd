"""A folder of images, searched with a few requests at a time and answered in order."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from client.errors import RetrievalError, UnreadableFileError
from client.results import SearchResult
from retrieval_server.command_line.image_files import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Answer:
    """The outcome for one image of a batch."""

    path: Path
    outcome: SearchResult | RetrievalError


def image_files(folder: Path, *, recursive: bool) -> list[Path]:
    """List the images of a folder.

    Args:
        folder: the folder to search.
        recursive: whether to search its subfolders too.

    Returns:
        The files whose suffix is an image's, in either case, sorted by path; never empty.

    Raises:
        UnreadableFileError: if it is no folder or holds no image.
    """
    if not folder.is_dir():
        raise UnreadableFileError(f"{folder} is not a folder. Search one image with: search PHOTO")
    found = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(path for path in found if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        hint = "Check the path." if recursive else "Look into its folders with --recursive."
        raise UnreadableFileError(f"No images in {folder} (looked for {suffixes}). {hint}")
    return paths


def answers_in_order(
    search: Callable[[Path], SearchResult],
    paths: Sequence[Path],
    *,
    jobs: int,
    cancel: Callable[[], None],
) -> Generator[Answer]:
    """Search every image, and yield in the order of the paths whatever the order of completion.

    Args:
        search: called from several threads; its RetrievalError becomes the image's outcome.
        paths: images.
        jobs: requests at a time.
        cancel: ends the requests under way; called if the caller stops early (Ctrl-C).

    Yields:
        One answer for each path.
    """

    def answer(path: Path) -> Answer:
        try:
            return Answer(path, search(path))
        except RetrievalError as error:
            return Answer(path, error)

    with ThreadPoolExecutor(max_workers=jobs) as executor:
        try:
            yield from executor.map(answer, paths)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            cancel()
            raise
