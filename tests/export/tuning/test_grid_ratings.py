"""The ratings of settings are those that the real index and search give."""

import asyncio
import csv

import numpy as np
import pytest

from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.evaluation.metrics import average_precision
from export.index.build import IndexBuild
from export.models.build_model_repository import export_profile
from export.models.profiles import find_profile, profile_toml
from export.text_index.settings import TextSettings
from export.tuning.described_dataset import cosine_matrix, text_neighbours
from export.tuning.grid_ratings import GridRatings
from export.tuning.rate_settings import RowLists, best_rows, rate_settings
from export.tuning.setting import InitialStage, Setting
from retrieval_server.engines.create_engine import create_engine
from retrieval_server.index.publish import open_index
from retrieval_server.models.preprocessing import read_image
from retrieval_server.retrieval.retriever import Retriever
from retrieval_server.retrieval.search_request import SearchParameters
from tests.support.export.small_grid import GRMAC, SMALL_GRID, SPOC
from tests.support.export.small_networks import SMALL, WEIGHTS


def searched(bundle, repository, dataset, keep):
    """Average precision of each query by index, engine and search."""
    engine = create_engine(
        "embedded", repository, bundle.profile.name, workers=1, threads_per_image=1
    )
    retriever = Retriever(bundle, engine)
    with (dataset / "ground_truth.csv").open(encoding="utf-8") as file:
        queries = list(csv.DictReader(file))

    async def rated():
        found = []
        for query in queries:
            pixels = read_image(dataset / query["query_image"], bundle.profile.side)
            result = retriever.search(await retriever.encode(pixels), SearchParameters(keep=keep))
            ids = [bundle.product_id(match.row) for match in result.matches]
            found.append(average_precision(ids, query["ids"].split()).gt)
        await engine.close()
        return found

    return asyncio.run(rated())


def test_a_point_of_the_grid_is_what_index_and_search_give(
    described, tuning, tiny_catalogue, tmp_path
):
    settings = [
        SMALL_GRID.default,
        Setting(
            initial=InitialStage(side=64, poolings=(SPOC, GRMAC), alphas=(0.5, 4.0)),
            keep=1,
            threshold=0.4,
        ),
        Setting(
            initial=InitialStage(side=64, poolings=(GRMAC, SPOC), alphas=(0.0, 1.0)),
            keep=7,
            threshold=0.4,
        ),
    ]
    ratings = GridRatings(
        described,
        text_neighbours(described.products, (0.6, 0.4)),
        (1, 3, 7),
        np.zeros(len(described.queries), np.int64),
    )
    for number, setting in enumerate(settings):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "profile.toml").write_text(profile_toml(setting.profile(SMALL)))
        profile = find_profile(str(folder / "profile.toml"))
        weights = {  # the same network under the name that its new pooling gave it
            backbone.model: WEIGHTS[SMALL.models[place]]
            for place, backbone in zip(setting.initial.used, profile.backbones, strict=True)
        }
        export_profile(profile, folder / "models", weights)
        text = TextSettings(threshold=setting.threshold)
        catalogue = read_catalogue(tiny_catalogue)
        IndexBuild(
            catalogue, profile, EngineChoice(folder / "models"), folder / "index", text=text
        ).run()

        expected = searched(
            open_index(folder / "index"), folder / "models", tiny_catalogue, setting.keep
        )
        assert ratings.ratings(setting).tolist() == expected, setting
        place = ratings.thresholds.index(setting.threshold), ratings.keeps.index(setting.keep)
        assert ratings.sums(setting.initial)[place].sum() == pytest.approx(sum(expected))
    assert len({tuple(ratings.ratings(setting)) for setting in settings}) == 3
    assert tuning.default == ratings.ratings(SMALL_GRID.default).mean()


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("copies", [1, 3], ids=["distinct", "ties"])
@pytest.mark.parametrize("group_by", [None, "price", "brand"])
def test_the_compiled_refinement_is_that_of_the_search(
    tiny_index, tiny_repository, copies, beta, group_by
):
    bundle = open_index(tiny_index)
    groups = np.arange(len(bundle))
    if group_by is not None:
        _, groups = np.unique(bundle.columns[group_by].values, return_inverse=True)
    engine = create_engine("embedded", tiny_repository, "tiny", workers=1, threads_per_image=1)
    rng = np.random.default_rng(3)
    database = [np.array(part) for part in bundle.descriptors]
    if copies > 1:  # rows with the same descriptors: ties go to the smaller row
        database = [part[np.arange(len(part)) // copies * copies] for part in database]
        bundle.descriptors = tuple(database)
    retriever = Retriever(bundle, engine)
    names = np.unique(groups)
    relevant = [
        sorted(rng.choice(names, rng.integers(1, min(10, len(names))), replace=False))
        for _ in range(20)
    ]
    queries = [rng.normal(size=(20, part.shape[1])).astype(np.float32) for part in database]
    queries = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in queries]
    keeps = (1, 2, 3, 6, 7, 9)
    words = ("", "nuxe violet", "zzz", "ruby lipstick 10ml", "bioderma") * 4
    text = np.zeros((20, len(bundle)))
    for row, typed in zip(text, words, strict=True):
        cosines = bundle.words.cosines(typed)
        row[cosines.rows] = cosines.cosines
    stage = InitialStage(side=32, poolings=(SPOC, SPOC), alphas=(3.0, 1.0), text_weight=beta)
    lengths, rows, _ = bundle.text_index.lists(0, len(bundle))
    neighbours = RowLists(np.concatenate([[0], np.cumsum(lengths)]), rows.astype(np.int64))

    similarities = stage.similarities(
        [cosine_matrix(q, d) for q, d in zip(queries, database, strict=True)], text
    )
    best = best_rows(similarities, groups)
    rated = rate_settings(
        similarities, best, neighbours, RowLists.of(relevant), np.array(keeps, np.int64), groups
    )

    for query in range(20):
        vectors = tuple(part[query] for part in queries)
        for place, keep in enumerate(keeps):
            parameters = SearchParameters(
                keep=keep, words=words[query], text_weight=beta, group_by=group_by
            )
            result = retriever.search(vectors, parameters)
            found = [str(groups[match.row]) for match in result.matches]
            expected = average_precision(found, [str(group) for group in relevant[query]]).gt
            assert rated[place, query] == expected
        assert best[query].tolist() == [match.row for match in result.initial]
    asyncio.run(engine.close())


def test_a_database_of_few_products_is_ranked_whole():
    similarities = np.array([[0.1, 0.9, 0.9]])

    best = best_rows(similarities)
    rated = rate_settings(
        similarities, best, RowLists.of([[], [0], []]), RowLists.of([[0]]), np.array([1, 7])
    )

    assert best.tolist() == [[1, 2, 0]]
    assert rated[:, 0].tolist() == [1 / 2, 1 / 3]  # refinement lifts row 0 over row 2
