"""The models of a reader in the model repository, which find and read the text of a photo.

::

    model_repository/
      text_detector/      image (B, H, W, 3), H and W multiples of 32
                          → text_map (B, H, W) uint8, 255 for a pixel that is certainly text
      text_orientation/   line (B, 48, 192, 3) → upside_down (B, 1), the probability that it is
      text_recogniser/    line (B, 48, W, 3) → symbols (B, T) int32 and their confidences (B, T)
        1/alphabet.txt    the symbols from 1 on, one a line, UTF-8; 0 is the blank between two

All images are uint8 RGB, and each model has the fingerprint of its weights as a further output. The
``config.pbtxt`` of the recogniser records the SHA-256 of its alphabet.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.image_model import ImageModel
from retrieval_server.models.model_repository import CONFIG_FILE, ModelRepository
from retrieval_server.models.profile import READERS, Profile

TEXT_DETECTOR = "text_detector"
TEXT_ORIENTATION = "text_orientation"
TEXT_RECOGNISER = "text_recogniser"
READER_MODELS = (TEXT_DETECTOR, TEXT_ORIENTATION, TEXT_RECOGNISER)

TEXT_MAP_OUTPUT = "text_map"
UPSIDE_DOWN_OUTPUT = "upside_down"
SYMBOLS_OUTPUT = "symbols"
CONFIDENCES_OUTPUT = "confidences"

EXPORT_READER = f"beauty-export onnx --reader {READERS[0]}"
BLANK = 0  # the symbol that separates two equal ones
ALPHABET_FILE = "alphabet.txt"
ALPHABET_DIGEST = "alphabet_sha256"  # the parameter of config.pbtxt


def has_reader(repository: ModelRepository) -> bool:
    """Whether all models of a reader are exported; their configurations alone are not enough."""
    return all(
        (repository.root / name / CONFIG_FILE).is_file()
        and repository.image_model(name).onnx_path.is_file()
        for name in READER_MODELS
    )


def can_read(profile: Profile, repository: ModelRepository) -> bool:
    """Whether words on photos can be read: the profile names a reader, which is exported."""
    return profile.reader is not None and has_reader(repository)


def is_exported(profile: Profile, repository: ModelRepository) -> bool:
    """Whether all models of a profile are there; their configurations alone are not enough."""
    try:
        return all(model.onnx_path.is_file() for model in repository.ensemble(profile.name))
    except ModelRepositoryError:
        return False


def copy_reader(repository: ModelRepository, output: Path) -> tuple[ImageModel, ...]:
    """Copy the models of the reader to another model repository, if they are exported.

    Args:
        repository: where they are.
        output: the other repository, which has none of them.

    Returns:
        The copied models; none if there is no complete reader.
    """
    if not has_reader(repository):
        return ()
    for name in READER_MODELS:
        shutil.copytree(repository.root / name, output / name)
    return tuple(map(ModelRepository(output).image_model, READER_MODELS))


def encode_alphabet(symbols: tuple[str, ...]) -> bytes:
    """The bytes of ``ALPHABET_FILE``.

    Args:
        symbols: by number; that of the blank, the first one, is empty.
    """
    return "".join(f"{symbol}\n" for symbol in symbols[1:]).encode()


def read_alphabet(repository: ModelRepository) -> tuple[str, ...]:
    """Read the symbols of the recogniser, by number; that of the blank is empty.

    Raises:
        ModelRepositoryError: if the file is missing, or is not the one that was exported.
    """
    path = repository.image_model(TEXT_RECOGNISER).onnx_path.with_name(ALPHABET_FILE)
    parameters = repository.config(TEXT_RECOGNISER).parameters
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRepositoryError(
            f"Cannot read {path}: {error.strerror}. Export the reader again with: {EXPORT_READER}"
        ) from error
    if sha256(content).hexdigest() != parameters[ALPHABET_DIGEST].string_value:
        raise ModelRepositoryError(
            f"{path} is not the alphabet that was exported with the model. Export the reader again "
            f"with: {EXPORT_READER}"
        )
    return ("", *content.decode().split("\n")[:-1])
