"""Reads images with rapidocr-onnxruntime; runs in the environment that ``reading_peer`` makes.

The arguments are a file of ``numpy.savez`` with one RGB image for each key, and the library's
settings as JSON. One line of JSON for each image goes to standard output: boxes before recognition,
lines, and the CPU time of the process.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import cv2
import numpy as np
from rapidocr_onnxruntime import RapidOCR


def main() -> None:
    """Read every image of the file, the first one twice, as the first time takes longer."""
    cv2.setNumThreads(1)
    library = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, **json.loads(sys.argv[2]))
    with np.load(sys.argv[1]) as file:
        images = [np.ascontiguousarray(file[key][..., ::-1]) for key in file.files]
    library(images[0])
    boxes = _recorded_boxes(library)
    for image in images:
        started = time.process_time()
        lines, _ = library(image)
        cpu_s = time.process_time() - started
        print(
            json.dumps(
                {
                    "boxes": np.asarray(boxes.pop()).tolist(),
                    "lines": [
                        {"corners": corners, "text": text, "confidence": float(confidence)}
                        for corners, text, confidence in lines or ()
                    ],
                    "cpu_s": cpu_s,
                }
            )
        )


def _recorded_boxes(library: RapidOCR) -> list[Any]:
    """A list to which the library adds the boxes of each image that it reads from now on."""
    boxes = []
    detect = library.text_det

    def detect_and_record(image: Any) -> Any:
        answer = detect(image)
        boxes.append(answer[0])
        return answer

    library.text_det = detect_and_record
    return boxes


if __name__ == "__main__":
    main()
