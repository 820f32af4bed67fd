"""Small models with an attention mask."""

from pathlib import Path

from export.pictures.attention import AttentionModel
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.profile import Backbone, Profile

SIDE = 64  # pixels; the map has 10 × 10 cells
POOLINGS = {  # by model name: pooling and p
    "printed": ("grmac", None),
    "sharper": ("grmac", 2.0),
    "released": ("grmac-released", None),
    "gem": ("gem", None),
}
ATTENTIVE = [name for name in POOLINGS if name != "gem"]
PROFILE = Profile(
    name="looking",
    side=SIDE,
    backbones=tuple(
        Backbone(model=name, timm_name="made_for_tests", alpha=1.0, pooling=pooling, p=p)
        for name, (pooling, p) in POOLINGS.items()
    ),
)


def looking(repository: Path, name: str) -> AttentionModel:
    return AttentionModel(ModelRepository(repository).model(name))
