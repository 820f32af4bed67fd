"""An index in Milvus Lite gives what the index it was loaded from gives."""

import numpy as np
import pytest

from retrieval_server.exact_search.proof import Guarantee
from retrieval_server.exact_search.scan import ScanSearch
from retrieval_server.filters.evaluation import passing_rows
from retrieval_server.filters.expression import (
    AllOf,
    AnyOf,
    Equals,
    IsMissing,
    NoneOf,
    OneOf,
    Range,
)

ALPHAS = (3.0, 1.0)


@pytest.fixture(scope="module")
def search(stored):
    return stored.open_search(None)


def test_the_rankings_are_those_of_the_index(bundle, stored, search):
    scan = ScanSearch(bundle.descriptors)
    for row in range(0, len(bundle), 3):
        query = stored.descriptors_of(row)
        expected = scan.rank_all(query, ALPHAS, 7)
        ranking = search.rank_all(query, ALPHAS, 7)
        assert ranking.rows.tolist() == expected.rows.tolist()
        assert ranking.similarities.tolist() == expected.similarities.tolist()
        assert ranking.proof.guarantee is Guarantee.EXACT


def test_what_the_catalogue_says_is_the_same(bundle, stored):
    assert len(stored) == len(bundle)
    assert stored.version == bundle.version
    assert stored.manifest == bundle.manifest
    assert stored.calibration == bundle.calibration is not None
    assert stored.built_at == bundle.built_at
    rows = range(len(bundle))
    assert [stored.product(row) for row in rows] == [bundle.product(row) for row in rows]
    ids = [bundle.product_id(row) for row in rows]
    assert stored.rows_of([*ids, "no such id"]) == dict(zip(ids, rows, strict=True))
    assert stored.row_of("no such id") is None
    for row in rows:
        neighbours, cosines = stored.text_index.neighbours(row)
        expected, expected_cosines = bundle.text_index.neighbours(row)
        assert neighbours.tolist() == expected.tolist()
        assert cosines.tolist() == expected_cosines.tolist()
    for model, descriptor in bundle.reference_descriptors.items():
        np.testing.assert_array_equal(stored.reference_descriptors[model], descriptor)


FILTERS = [
    Equals("brand", "L'Oréal"),
    Equals("brand", '" or row >= 0 or brand == "'),
    Equals("price", 5.99),
    OneOf("brand", ("Nuxe", "Bioderma", "nobody")),
    OneOf("price", (5.99, float("inf"))),
    OneOf("price", (float("inf"),)),
    Range("price", at_least=6.99, below=8.99),
    Range("price", above=6.99, at_most=float("inf")),
    Range("price", at_least=float("inf")),
    IsMissing("brand"),
    NoneOf((IsMissing("price"), Equals("brand", "Nuxe"))),
    NoneOf((Range("price", at_least=6.99),)),
    AllOf((Equals("brand", "Nuxe"), AnyOf((Range("price", below=7), Equals("price", 8.99))))),
]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_a_filter_lets_the_same_rows_pass(bundle, stored, search, wanted):
    mask = passing_rows(wanted, bundle.columns)
    rows = np.arange(len(bundle))
    query = stored.descriptors_of(4)

    allowed = stored.allowed_rows(wanted, ())
    found = search.rank_all(query, ALPHAS, 5, exclude=4, allowed=allowed)

    assert allowed[rows].tolist() == mask.tolist()
    assert stored.count_allowed(allowed, 4) == mask.sum() - mask[4]
    expected = ScanSearch(bundle.descriptors).rank_all(query, ALPHAS, 5, 4, mask)
    assert found.rows.tolist() == expected.rows.tolist()
