"""A folder of images as queries, and their answers in order."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from client.errors import UnreadableFileError
from client.query import Answer
from retrieval_server.command_line.image_files import IMAGE_SUFFIXES, ImageListing, list_images


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


def answers_in_order(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield the answers of a stream in the order of its queries.

    Args:
        answers: those of all queries, in any order.
    """
    early: dict[int, Answer] = {}
    next_number = 0
    for answer in answers:
        early[answer.number] = answer
        while next_number in early:
            yield early.pop(next_number)
            next_number += 1


def path_of(answer: Answer) -> Path:
    """The image that an answer belongs to."""
    image = answer.query.image
    assert isinstance(image, Path)
    return image
