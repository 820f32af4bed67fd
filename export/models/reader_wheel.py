"""The wheel that carries the weights of the reader: PP-OCRv4 (mobile) as ONNX files.

The package is ``rapidocr-onnxruntime`` (Apache-2.0). Its wheel is unpacked and not installed,
because the package depends on OpenCV.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from retrieval_server.errors import ModelRepositoryError

PACKAGE = "rapidocr-onnxruntime"
VERSION = "1.4.4"
WHEEL_NAME = f"{PACKAGE.replace('-', '_')}-{VERSION}-py3-none-any.whl"
WHEEL_SHA256 = "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf"
MODELS_FOLDER = "rapidocr_onnxruntime/models"
DOWNLOAD = f"pip download --no-deps {PACKAGE}=={VERSION}"


class ReaderWheel:
    """The files in the wheel.

    Args:
        path: the wheel as a file of this machine; None downloads it by pip when it is needed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._archive: zipfile.ZipFile | None = None

    def model(self, name: str) -> bytes:
        """Read one ONNX file.

        Raises:
            ModelRepositoryError: if there is no wheel, or it is another one than expected.
        """
        if self._archive is None:
            content = _downloaded() if self._path is None else _read(self._path)
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        return self._archive.read(f"{MODELS_FOLDER}/{name}")


def _downloaded() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", *DOWNLOAD.split(), "--dest", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["pip says nothing"]
            raise ModelRepositoryError(
                f"Cannot download the weights of the reader: {lines[-1].rstrip('.')}. Run this "
                f"where there is a network, then name the file with --reader-wheel: {DOWNLOAD}"
            )
        return _read(Path(folder) / WHEEL_NAME)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRepositoryError(
            f"Cannot read the wheel {path}: {error.strerror}. Get it with: {DOWNLOAD}"
        ) from error
    if (digest := hashlib.sha256(content).hexdigest()) != WHEEL_SHA256:
        raise ModelRepositoryError(
            f"{path} is not {WHEEL_NAME}: its SHA-256 is {digest[:12]}…, not {WHEEL_SHA256[:12]}…. "
            f"Get it with: {DOWNLOAD}"
        )
    return content
