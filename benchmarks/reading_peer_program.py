"""Reads images with rapidocr-onnxruntime; runs in the environment that ``reading_peer`` makes.

The argument is a file of ``numpy.savez`` with one RGB image for each key. One line of JSON for each
image goes to standard output: boxes before recognition, lines, and the CPU time of the process.
"""

from __future__ import annotations

import json
import sys
import time

import cv2
import numpy as np
from rapidocr_onnxruntime import RapidOCR


def main() -> None:
    """Read every image of the file, the first one twice, as the first time takes longer."""
    cv2.setNumThreads(1)
    library = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
    with np.load(sys.argv[1]) as file:
        images = [np.ascontiguousarray(file[key][..., ::-1]) for key in file.files]
    library(images[0])
    for image in images:
        started = time.process_time()
        lines, _ = library(image)
        cpu_s = time.process_time() - started
        boxes, _ = library.text_det(image)
        print(
            json.dumps(
                {
                    "boxes": np.asarray(boxes).tolist(),
                    "lines": [
                        {"corners": corners, "text": text, "confidence": float(confidence)}
                        for corners, text, confidence in lines or ()
                    ],
                    "cpu_s": cpu_s,
                }
            )
        )


if __name__ == "__main__":
    main()
