"""The grid of settings, and the profiles that its settings give."""

from dataclasses import replace

from export.models.pooling_choice import PoolingChoice
from export.models.profiles import LITE, PAPER, find_profile, profile_toml
from export.tuning.grid import MOST_ALPHAS, Grid
from export.tuning.setting import SUM, InitialStage, Setting
from retrieval_server.models.profile import Backbone, Profile
from tests.support.export.small_grid import SPOC
from tests.support.export.small_networks import SMALL


def test_a_profile_keeps_what_was_not_changed():
    default = Grid.of(LITE).default
    assert default.profile(LITE) == LITE

    other = replace(default, initial=replace(default.initial, alphas=(2.0, 0.0)))
    assert other.profile(LITE) == Profile(
        name="lite-tuned",
        side=320,
        backbones=(replace(LITE.backbones[0], alpha=2.0),),
        reader=LITE.reader,
    )
    weak = replace(default, initial=replace(default.initial, text_weight=0.25)).profile(LITE)
    assert weak == replace(LITE, name="lite-tuned", text_weight=0.25)
    gem = replace(default, initial=default.initial.with_pooling(1, PoolingChoice("gem", 5.0)))
    first, second = gem.profile(LITE).backbones
    assert first == LITE.backbones[0]
    assert (second.model, second.p) == ("efficientnet_lite2_gem-p5_320", 5.0)
    larger = replace(default, initial=replace(default.initial, side=480)).profile(LITE)
    assert larger.models == (
        "efficientnet_lite0_grmac-p1_480", "efficientnet_lite2_grmac-p1_480",
    )  # fmt: skip


def test_one_network_twice_keeps_two_names():
    twice = replace(
        LITE,
        backbones=(
            LITE.backbones[0],
            replace(LITE.backbones[0], model="efficientnet_lite0_gem", pooling="gem"),
        ),
    )
    initial = InitialStage(side=320, poolings=(SPOC, SPOC), alphas=(1.0, 2.0))

    changed = Setting(initial=initial, keep=1, threshold=0.5).profile(twice)

    assert changed.models == ("efficientnet_lite0_spoc_320_0", "efficientnet_lite0_spoc_320_1")


def test_a_profile_written_as_toml_is_read_back(tmp_path):
    odd = Profile(
        name="odd",
        side=96,
        backbones=(
            Backbone(
                model="a",
                timm_name='na"me\\',
                alpha=0.1 + 0.2,
                p=2.5,
                mean=(0.1, 0.2, 0.3),
                std=(1.0, 1e-3, 1.0),
            ),
        ),
    )
    for profile in (LITE, PAPER, odd):
        (tmp_path / "p.toml").write_text(profile_toml(profile), encoding="utf-8")
        assert find_profile(str(tmp_path / "p.toml")) == profile


def test_the_default_grid_has_the_profile_s_own_values_first():
    grid = Grid.of(LITE)
    stages = list(grid.initial_stages())

    assert stages[0] == grid.default.initial
    assert grid.sides == (320, 224, 480)
    assert Grid.of(SMALL).sides == (64,)  # a map of smaller images would have too few cells
    assert (grid.keeps[0], grid.thresholds[0]) == (3, 0.6)
    assert len(set(stages)) == len(stages)
    assert {stage.alphas for stage in stages if stage.is_single} == {(3.0, 0.0), (0.0, 1.0)}
    assert {stage.text_weight for stage in stages} == {0, 0.25, 0.5, 1, 2, 4}
    assert grid.without_words().text_weights == (LITE.text_weight,)
    ratios = {stage.alphas for stage in stages if stage.fusion == SUM}
    assert (1.0, 0.5) in ratios
    assert all(max(alphas) == 1 for alphas in ratios)  # only the ratio matters


def test_many_backbones_get_one_alpha_changed_at_a_time():
    five = replace(
        LITE,
        name="five",
        backbones=tuple(replace(LITE.backbones[0], model=f"m{n}") for n in "abcde"),
    )
    grid = Grid.of(five, sides=(64,), poolings=(SPOC,))

    alphas = {stage.alphas for stage in grid.initial_stages() if not stage.is_single}

    assert 5**5 > MOST_ALPHAS
    assert (3.0, 3.0, 8.0, 3.0, 3.0) in alphas
    assert (8.0, 8.0, 3.0, 3.0, 3.0) not in alphas


def test_one_backbone_has_no_alpha_to_tune():
    one = replace(LITE, name="one", backbones=LITE.backbones[:1])

    stages = list(Grid.of(one).initial_stages())

    assert {stage.alphas for stage in stages} == {(3.0,)}
