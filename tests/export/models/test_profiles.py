"""Profiles: those that ship, and one's own in a TOML file."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.models.profiles import LITE, PAPER, PROFILES, find_profile, profile_toml
from retrieval_server.errors import ProfileError
from retrieval_server.models.profile import Profile

BACKBONE = '[[backbones]]\nmodel = "m"\ntimm_name = "t"\nalpha = 1.0\n'


def test_profile_in_toml_is_the_profile_it_describes(
    tiny_profile: Profile, tiny_profile_file: Path
) -> None:
    assert find_profile(str(tiny_profile_file)) == tiny_profile


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_profile_survives_json(profile: Profile) -> None:
    assert Profile.from_json(profile.to_json()) == profile
    assert find_profile(profile.name) is profile


def test_paper_profile_has_the_weights_of_section_2_3() -> None:
    assert PAPER.side == 480
    assert PAPER.alphas == {"densenet201_grmac": 3.0, "seresnet152_grmac": 1.0}
    assert set(LITE.models).isdisjoint(PAPER.models)


def test_optional_keys_of_a_backbone_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    more = 'pooling = "gem"\np = 3\nweights = "package:x"\nmean = [0, 0.5, 1]\nstd = [1, 1, 1]\n'
    path.write_text(f'name = "mine"\nside = 64\n{BACKBONE}{more}')
    (backbone,) = find_profile(str(path)).backbones
    assert (backbone.pooling, backbone.p, backbone.weights) == ("gem", 3, "package:x")
    assert (backbone.mean, backbone.std) == ((0.0, 0.5, 1.0), (1.0, 1.0, 1.0))


def test_profile_may_name_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\nside = 64\nreader = "ppocr"\n{BACKBONE}')
    profile = find_profile(str(path))
    assert profile.reader == "ppocr"
    path.write_text(profile_toml(profile))
    assert find_profile(str(path)) == profile
    path.write_text(profile_toml(replace(profile, reader=None)))
    assert find_profile(str(path)).reader is None


def test_profile_may_name_the_strength_of_words(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\nside = 64\ntext_weight = 0\n{BACKBONE}')
    assert find_profile(str(path)).text_weight == 0
    path.write_text(profile_toml(replace(LITE, text_weight=2.5)))
    assert find_profile(str(path)).text_weight == 2.5
    older = {key: value for key, value in LITE.to_json().items() if key != "text_weight"}
    assert Profile.from_json(older).text_weight == 1


def test_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"'liet'.*paper, lite, or a \.toml file"):
        find_profile("liet")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f'nam = "mine"\nside = 64\n{BACKBONE}',
            r"no \['nam'\]. Known keys: .*'name', 'reader', 'side', 'text_weight'",
        ),
        (f'name = "x"\nside = 64\n{BACKBONE}pool = "gem"', r"no \['pool'\]. Known keys.*'pooling'"),
        (f'name = "mine"\n{BACKBONE}', r"needs \['side'\]"),
        ('name = "x"\nside = 64\n[[backbones]]\nmodel = "m"', r"needs \['alpha', 'timm_name'\]"),
        (f'name = "mine"\nside = 31\n{BACKBONE}', "side must be a whole number, 32..4096, got 31"),
        (f'name = "mine"\nside = "big"\n{BACKBONE}', "big"),
        (f"name = 3\nside = 64\n{BACKBONE}", "string"),
        (f'name = "x"\nside = 64\nreader = "ocr"\n{BACKBONE}', "one of ppocr, got 'ocr'"),
        (f'name = "x"\nside = 64\nreader = ["ppocr"]\n{BACKBONE}', "one of ppocr"),
        (
            f'name = "x"\nside = 64\ntext_weight = 101\n{BACKBONE}',
            "text_weight must be 0..100, got",
        ),
        (f'name = "x"\nside = 64\ntext_weight = "1"\n{BACKBONE}', "text_weight .* got '1'"),
        (f'name = "x"\nside = 64\ntext_weight = nan\n{BACKBONE}', "text_weight .* got nan"),
        (f'name = "../up"\nside = 64\n{BACKBONE}', "'../up' must match"),
        (f'name = "m"\nside = 64\n{BACKBONE}', "distinct model names"),
        (f'name = "x"\nside = 64\n{BACKBONE}{BACKBONE}', "distinct model names"),
        ('name = "x"\nside = 64\nbackbones = []', "one or more backbones"),
        ('name = "x"\nside = 64\nbackbones = 3', "int"),
        ('name = "x"\nside = 64\nbackbones = [3]', "int"),
        (f'name = "x"\nside = 64\n{BACKBONE}'.replace("1.0", "-1.0"), r"alpha must be 0\.\.1e\+06"),
        (f'name = "x"\nside = 64\n{BACKBONE}'.replace("1.0", "nan"), r"alpha must be 0\.\.1e\+06"),
        (
            f'name = "x"\nside = 64\n{BACKBONE}'.replace("1.0", '"3"'),
            r"alpha must be 0\.\.1e\+06, got '3'",
        ),
        (f'name = "x"\nside = 64\n{BACKBONE}mean = [1, 2]', "mean needs 3 numbers"),
        (f'name = "x"\nside = 64\n{BACKBONE}mean = ["a", 2, 3]', "'a'"),
        ("name = ", "Invalid value"),
    ],
)
def test_bad_profile_file_is_refused_by_name(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ProfileError, match=expected) as caught:
        find_profile(str(path))
    assert str(path) in str(caught.value)


def test_missing_or_unreadable_profile_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"Cannot read the profile .*none\.toml"):
        find_profile(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(ProfileError, match=r"Cannot read the profile .*latin\.toml"):
        find_profile(str(tmp_path / "latin.toml"))
