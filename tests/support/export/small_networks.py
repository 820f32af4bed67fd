"""Two real, small timm networks with seeded weights, as a profile; for what needs feature maps."""

from export.models.backbones import WeightsChoice
from retrieval_server.models.profile import Backbone, Profile

SMALL = Profile(
    name="small",
    side=64,
    backbones=(
        Backbone(model="small_a_grmac", timm_name="test_efficientnet", alpha=3.0),
        Backbone(model="small_b_grmac", timm_name="test_resnet", alpha=1.0),
    ),
)
SEED = 7
WEIGHTS = {model: WeightsChoice(random_seed=SEED) for model in SMALL.models}
