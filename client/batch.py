"""A folder of images, searched with a few requests at a time and answered in order."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from client.errors import RetrievalError, UnreadableFileError
from client.results import SearchResult
from retrieval_server.command_line.image_files import IMAGE_SUFFIXES, ImageListing, list_images


@dataclass(frozen=True)
class Answer:
    """The outcome for one image of a batch."""

    path: Path
    outcome: SearchResult | RetrievalError


def images_to_search(folder: Path, *, recursive: bool) -> ImageListing:
    """List the images of a folder.

    Args:
        folder: the folder to search.
        recursive: whether to search its subfolders too.

    Returns:
        The images, at least one, and what was left out.

    Raises:
        UnreadableFileError: if it is no folder, cannot be read, or holds no image.
    """
    if not folder.is_dir():
        raise UnreadableFileError(f"{folder} is not a folder. Search one image with: search PHOTO")
    try:
        listing = list_images(folder, recursive=recursive)
    except OSError as error:
        raise UnreadableFileError(f"Cannot read {folder}: {error.strerror}.") from error
    if not listing.images:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        hint = listing.left_out_line() or "Check the path."
        raise UnreadableFileError(f"No images in {folder} (looked for {suffixes}). {hint}")
    return listing


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
