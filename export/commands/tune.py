"""The commands that compare settings on a dataset with ground truth: ``tune``, ``augmentation``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from export.commands.messages import left_out_query, optional_packages, say, warn
from export.commands.options import (
    DEFAULT_REPOSITORY,
    Dataset,
    GroundTruth,
    KeepsToTry,
    ProfileName,
    RefiningKeep,
    Repository,
    Tau,
    TausToTry,
)
from export.commands.outputs import print_result, prints_table, say_where
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.terminal import sections_table
from export.ground_truth.measurable import check_measurable
from export.models.profiles import LITE, find_profile
from export.text_index.settings import TextSettings
from retrieval_server.command_line import option_values
from retrieval_server.command_line.output_file import DASH, check_output, write_output
from retrieval_server.errors import CatalogueError, ModelRepositoryError
from retrieval_server.models.model_repository import ModelRepository
from retrieval_server.models.profile import MAX_TEXT_WEIGHT, Profile
from retrieval_server.models.reader import EXPORT_READER, can_read, is_exported
from retrieval_server.retrieval.search_request import DEFAULT_KEEP
from retrieval_server.text.grams import words_in

DEFAULT_CACHE = Path("build/descriptors")
DEFAULT_FOLDS = 5

SidesToTry = Annotated[
    list[int] | None,
    typer.Option(min=32, help="Side to try; again for more.", show_default="0.7, 1, 1.5 ×"),
]
PoolingsToTry = Annotated[
    list[str] | None,
    typer.Option(help="NAME or NAME:P to try, such as gem:4.", show_default="eleven"),
]
AlphasToTry = Annotated[
    list[float] | None,
    typer.Option(
        min=0,
        help="α to try, for each backbone.",
        show_default="0.5, 1, 2, 4, 8",
        callback=option_values.finite,
    ),
]
TextWeightsToTry = Annotated[
    list[float] | None,
    typer.Option(
        "--text-weight",
        min=0,
        max=MAX_TEXT_WEIGHT,
        help="β, the strength of words, to try.",
        show_default="0, 0.25 to 4",
        callback=option_values.finite,
    ),
]
ReadCatalogue = Annotated[
    bool,
    typer.Option("--read-images", help="Compare words with those on the catalogue's images too."),
]
NoWords = Annotated[
    bool, typer.Option("--no-words", help="Leave words out: those typed and those on photos.")
]
Folds = Annotated[int, typer.Option(min=2, help="Number of folds of the cross-validation.")]
Cache = Annotated[
    Path,
    typer.Option(
        help="Folder to keep descriptors and words in, for the next run.",
        callback=option_values.folder,
    ),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", help="MODEL=FILE: weights of one model, as for onnx."),
]
RandomSeed = Annotated[
    int | None, typer.Option(help="Seeded weights that mean nothing, for a dry run.")
]
Page = Annotated[
    Path | None,
    typer.Option("--html", help="Also write a page with the grid as pictures; - prints it alone."),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--save", help="Also write the settings to this .toml file; - prints them alone."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def tune(
    dataset: Dataset,
    profile: ProfileName = LITE.name,
    side: SidesToTry = None,
    pooling: PoolingsToTry = None,
    alpha: AlphasToTry = None,
    text_weight: TextWeightsToTry = None,
    keep: KeepsToTry = None,
    threshold: TausToTry = None,
    folds: Folds = DEFAULT_FOLDS,
    seed: Annotated[int, typer.Option(help="Seed that assigns queries to folds.")] = 0,
    ground_truth: GroundTruth = None,
    no_words: NoWords = False,
    read_images: ReadCatalogue = False,
    model_repository: Repository = DEFAULT_REPOSITORY,
    cache: Cache = DEFAULT_CACHE,
    checkpoint: Checkpoints = None,
    random_seed: RandomSeed = None,
    page: Page = None,
    save: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Choose pooling, side, α, β, k and τ by cross-validated mAP@7, and print the settings.

    Values given for an option replace its defaults; the profile's own are always tried. β is tuned
    if the ground truth has typed words, or the profile's reader is exported to the model
    repository.

    Example: beauty-export tune build/demo/sample --html build/tuning.html
    """
    with optional_packages("The command needs"):
        from export.models.backbones import weights_choices
        from export.models.pooling_choice import PoolingChoice
        from export.tuning.described_dataset import describe_dataset
        from export.tuning.grid import Grid
        from export.tuning.html import tuning_page
        from export.tuning.pooling_sweep import PoolingSweep
        from export.tuning.sections import tuned_settings, tuning_sections
        from export.tuning.tune import tune as tune_on
        from export.tuning.words import ImageReader, WordSources
    if no_words and (text_weight or read_images):
        raise typer.BadParameter(
            "leaves nothing for --text-weight and --read-images to do.", param_hint="--no-words"
        )
    has_table = prints_table({"--html": page, "--save": save}, as_json=as_json)
    chosen = find_profile(profile)
    grid = Grid.of(
        chosen,
        sides=side or (),
        poolings=[PoolingChoice.parse(text) for text in pooling or ()],
        alphas=alpha or (),
        text_weights=text_weight or (),
        keeps=keep or (),
        thresholds=threshold or (),
    )
    sweep = PoolingSweep(cache, weights_choices(chosen, checkpoint or (), random_seed))
    queries = check_measurable(dataset, ground_truth, is_divided=True)
    words = None
    if not no_words:
        reads = read_images or _can_read(chosen, model_repository)
        reader = ImageReader.of(chosen, EngineChoice(model_repository)) if reads else None
        if text_weight and not reads and not any(words_in(query.words) for query in queries):
            raise CatalogueError(
                "There are no words to try --text-weight on: the ground truth has no typed words, "
                f"and those on photos cannot be read. Export the reader with: {EXPORT_READER}"
            )
        words = WordSources(cache, reader, reads_catalogue=read_images)
    described = describe_dataset(
        dataset, chosen, grid.sides, grid.poolings, sweep, ground_truth, words
    )
    _warn_of(described.unreadable, described.rejected, random_seed)
    tuning = tune_on(described, grid, folds, seed)
    if page is not None:
        write_output(page, tuning_page(tuning))
        say_where("report", page)
    if save is not None:
        write_output(save, tuned_settings(tuning))
        say_where("settings", save)
    kept = _kept(cache)
    if as_json:
        print_result(json.dumps(tuning.to_json()), kept)
    elif has_table:
        print_result(sections_table(tuning_sections(tuning)), kept)
        print_result(f"\n{tuned_settings(tuning).rstrip()}", kept)


def augmentation(
    dataset: Dataset,
    profile: ProfileName = LITE.name,
    keep: RefiningKeep = DEFAULT_KEEP,
    threshold: Tau = TextSettings.threshold,
    ground_truth: GroundTruth = None,
    cache: Cache = DEFAULT_CACHE,
    checkpoint: Checkpoints = None,
    random_seed: RandomSeed = None,
    as_json: AsJson = False,
) -> None:
    """Measure query expansion, database-side augmentation and white-out of the background.

    Example: beauty-export augmentation build/demo/sample
    """
    with optional_packages("The command needs"):
        from export.models.backbones import weights_choices
        from export.models.pooling_choice import PoolingChoice
        from export.tuning.described_dataset import describe_dataset
        from export.tuning.evaluate_augmentation import evaluate_augmentation
        from export.tuning.pooling_sweep import PoolingSweep
    check_output(DASH)
    chosen = find_profile(profile)
    poolings = tuple(dict.fromkeys(map(PoolingChoice.of, chosen.backbones)))
    sweep = PoolingSweep(cache, weights_choices(chosen, checkpoint or (), random_seed))
    check_measurable(dataset, ground_truth)
    described = describe_dataset(dataset, chosen, (chosen.side,), poolings, sweep, ground_truth)
    _warn_of(described.unreadable, described.rejected, random_seed)
    report = evaluate_augmentation(described, sweep, keep, threshold)
    result = json.dumps(report.to_json()) if as_json else sections_table([report.section()])
    print_result(result, _kept(cache))


def _kept(cache: Path) -> str:
    return f"The descriptors are kept in {cache}; run the same command again with that --cache."


def _can_read(profile: Profile, repository: Path) -> bool:
    """Whether words on photos can be read; says why not where only the profile is missing."""
    try:
        models = ModelRepository(repository)
    except ModelRepositoryError:  # nothing was exported yet
        return False
    if not can_read(profile, models):
        return False
    if not (is_there := is_exported(profile, models)):  # the engine of the reader loads it too
        say(
            f"The words on photos are not read: the models of profile {profile.name} are not "
            f"in {repository}. Export them with: beauty-export onnx --profile PROFILE"
        )
    return is_there


def _warn_of(
    unreadable: Mapping[str, str], rejected: Mapping[str, str], random_seed: int | None
) -> None:
    for image, problem in unreadable.items():
        warn(left_out_query(image, problem))
    for image, problem in itertools.islice(rejected.items(), 1):
        warn(f"{len(rejected):,} database images are left out; the first, {image}, {problem}")
    if random_seed is not None:
        warn("the weights are random: results mean nothing.")
