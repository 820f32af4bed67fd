"""The attention view: a photo with the mask of eq. (1) over it, for each model that described it.

The cells outside the mask are dimmed, and the edge of the mask is drawn. A second picture shades
each cell by the sum of the weights in eq. (2) of the regions that contain it; the caption lists the
weights.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.pictures.attention import Attention, AttentionModel, NoAttentionError
from export.pictures.page_pictures import image_element
from retrieval_server.errors import ModelRepositoryError
from retrieval_server.models.image_model import ModelFolder
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.preprocessing import read_image

DIMMED = 0.25  # of the brightness outside the mask
EDGE = (255, 0, 140)
EDGE_PIXELS = 2
_Value = TypeVar("_Value", bound=np.generic)
STYLE = """
.view { margin: .8rem 0 0; font-size: .75rem; }
.view > div { display: flex; gap: .3rem; } .view img { flex: 1; min-width: 0; border-radius: 4px; }
.view figcaption { margin: .2rem 0; overflow-wrap: anywhere; }
.view table { border-collapse: collapse; display: inline-table; margin: 0 .5rem .3rem 0;
              vertical-align: top; }
.view caption { text-align: left; white-space: nowrap; }
.view td { border: 1px solid var(--line); padding: 0 .25rem; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True)
class AttentionView:
    """The attention of one model to one photo, as pictures.

    Attributes:
        attention: the mask, threshold and weights that the pictures show.
        mask_picture: the photo, dimmed outside the mask.
        weights_picture: the photo, each cell as bright as the regions around it weigh.
    """

    attention: Attention
    mask_picture: Image.Image
    weights_picture: Image.Image

    @property
    def caption(self) -> str:
        """Model, pooling, threshold and how much the mask covers, in one line."""
        mask = self.attention.mask
        return (
            f"{self.attention.model}: {mask.sum()} of {mask.size} cells above "
            f"t = {self.attention.threshold:.4g} ({self.attention.pooling})"
        )


class AttentionViewer:
    """Draws the attention of models to photos; loads each model once.

    Args:
        repository: the model repository.
        on_warning: told once of each model without a mask, or with random weights.
    """

    def __init__(
        self, repository: Path, on_warning: Callable[[str], None] = lambda warning: None
    ) -> None:
        self._repository = ModelRepository(repository)
        self._on_warning = on_warning
        self._models: dict[str, AttentionModel | None] = {}

    def views(self, photo: Path, digests: Mapping[str, str]) -> list[AttentionView]:
        """Draw the attention of models to a photo.

        Args:
            photo: image file.
            digests: digests of the models by name, from the results.

        Returns:
            One view for each model with a mask.

        Raises:
            ImageError: if the photo cannot be read.
            ModelRepositoryError: if a model is missing or is another one.
            NoAttentionError: if no model has a mask.
        """
        models = [
            model
            for name, digest in digests.items()
            if (model := self._model(name, digest)) is not None
        ]
        if not models:
            raise NoAttentionError(
                "None of the models has an attention mask, or the results do not name them."
            )
        return [attention_view(model, read_image(photo, model.side)) for model in models]

    def _model(self, name: str, digest: str) -> AttentionModel | None:
        if name not in self._models:
            folder = self._repository.model(name)
            if folder.digest != digest:
                raise ModelRepositoryError(
                    f"The results come from another {name} (SHA-256 {digest[:12]}) than that of "
                    f"{folder.onnx_path} ({folder.digest[:12]}). Name the repository that was "
                    "served."
                )
            self._models[name] = self._loaded(folder)
        return self._models[name]

    def _loaded(self, folder: ModelFolder) -> AttentionModel | None:
        try:
            model = AttentionModel(folder)
        except NoAttentionError as error:
            self._on_warning(str(error))
            return None
        if model.weights.startswith("random"):
            self._on_warning(f"{folder.name} has random weights: what it looks at means nothing.")
        return model


def attention_view(model: AttentionModel, image: NDArray[np.uint8]) -> AttentionView:
    """Draw the attention of a model to an image (S, S, 3), as ``read_image`` gives it."""
    attention = model.attention(image)
    weights = attention.cell_weights
    largest = weights.max()
    shares = weights / largest if largest > 0 else weights
    return AttentionView(
        attention=attention,
        mask_picture=Image.fromarray(
            _edged(_shaded(image, attention.mask.astype(np.float64)), attention.mask)
        ),
        weights_picture=Image.fromarray(_shaded(image, shares)),
    )


def view_element(view: AttentionView) -> str:
    """A figure with both pictures and the weights of the regions."""
    attention = view.attention
    tables = "".join(
        f"<table><caption>{level.side} × {level.side} cells</caption>"
        + "".join(
            "<tr>" + "".join(f"<td>{weight:.2f}</td>" for weight in row) + "</tr>"
            for row in level.weights
        )
        + "</table>"
        for level in attention.levels
    )
    name = attention.model
    return (
        f"<figure class=view><div>{image_element(view.mask_picture, f'mask of eq. (1), {name}')}"
        f"{image_element(view.weights_picture, f'region weights of eq. (2), {name}')}</div>"
        f"<figcaption>{html.escape(view.caption)}. Region weights:</figcaption>{tables}</figure>"
    )


def pixels_of_cells(values: NDArray[_Value], side: int) -> NDArray[_Value]:
    """Spread the cells of a map (h, w) over the pixels of a square image, (side, side)."""
    rows = np.arange(side) * values.shape[0] // side
    columns = np.arange(side) * values.shape[1] // side
    return values[np.ix_(rows, columns)]


def _shaded(image: NDArray[np.uint8], shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Dim the pixels (S, S, 3) of cells with a small share in [0, 1]."""
    brightness = DIMMED + (1 - DIMMED) * pixels_of_cells(shares, len(image))
    shaded: NDArray[np.uint8] = np.rint(image * brightness[:, :, None]).astype(np.uint8)
    return shaded


def _edged(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw the edge of the mask's cells into an image (S, S, 3)."""
    inside = pixels_of_cells(mask, len(image))
    outside = np.pad(~inside, EDGE_PIXELS, constant_values=True)
    near_outside = np.zeros_like(inside)
    size = len(image)
    for down in range(2 * EDGE_PIXELS + 1):
        for right in range(2 * EDGE_PIXELS + 1):
            near_outside |= outside[down : down + size, right : right + size]
    edged = image.copy()
    edged[inside & near_outside] = EDGE
    return edged
