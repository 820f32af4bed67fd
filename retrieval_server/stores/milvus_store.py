"""The descriptors of an index in Milvus, as a candidate store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval_server.errors import StoreError
from retrieval_server.stores.candidate_store import Selection, StoredValue, SumList
from retrieval_server.stores.filter_expression import ANY_ROW, FilterExpressions
from retrieval_server.stores.layout import RELOAD, ROW, VECTOR
from retrieval_server.stores.milvus import (
    EXHAUSTIVE,
    LONGEST_LIST,
    METRIC,
    ROWS_AT_ONCE,
    Entity,
    Milvus,
    in_pieces,
)


class MilvusStore:
    """The vectors of one version.

    Args:
        milvus: the connection.
        vectors: name of the collection.
        dimensions: C by backbone.
        rectified: by backbone, whether no descriptor has a negative value.
        expressions: makes expressions of filters.

    Raises:
        StoreError: if the collection has no index for inner products.
        StoreUnavailableError: if Milvus fails.
    """

    longest_list = LONGEST_LIST

    def __init__(
        self,
        milvus: Milvus,
        vectors: str,
        dimensions: Sequence[int],
        rectified: tuple[bool, ...],
        expressions: FilterExpressions,
    ) -> None:
        self._milvus, self._vectors, self._expressions = milvus, vectors, expressions
        self._ends = np.cumsum(dimensions)[:-1]
        self.rectified = rectified
        index = milvus.call("describe_index", vectors, VECTOR) or {}
        if index.get("metric_type") != METRIC:
            raise StoreError(
                f"{milvus.address}: {vectors} has no index for inner products ({METRIC}). {RELOAD}"
            )
        kind = str(index["index_type"])
        self.approximation = "" if kind == EXHAUSTIVE else kind

    def search_sum(  # noqa: D102 - see CandidateStore
        self, query: NDArray[np.float32], top_m: int, selection: Selection
    ) -> SumList:
        parameters: dict[str, Any] = {"metric_type": METRIC}
        if "HNSW" in self.approximation:
            parameters["params"] = {"ef": 2 * top_m}  # a graph needs more than it returns
        found = self._milvus.search(
            self._vectors,
            query,
            top_m,
            filter=self._expression(selection),
            output_fields=[ROW],
            search_params=parameters,
        )
        rows = np.array([hit["entity"][ROW] for hit in found], np.int64)
        return SumList(rows, np.array([hit["distance"] for hit in found], np.float64))

    def fetch(  # noqa: D102 - see CandidateStore
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], ...]:
        by_row = self._by_row(rows, [VECTOR])
        matrix = np.stack([np.asarray(by_row[row][VECTOR], np.float32) for row in rows.tolist()])
        return tuple(map(np.ascontiguousarray, np.split(matrix, self._ends, axis=1)))

    def passing(  # noqa: D102 - see CandidateStore
        self, rows: NDArray[np.int64], selection: Selection
    ) -> NDArray[np.bool_]:
        passing = [
            entity[ROW]
            for some in in_pieces(rows.tolist(), ROWS_AT_ONCE)
            for entity in self._rows(self._expression(selection, f"{ROW} in {some}"), len(some))
        ]
        return np.isin(rows, np.array(passing, np.int64))

    def values(  # noqa: D102 - see CandidateStore
        self, rows: NDArray[np.int64], column: str
    ) -> list[StoredValue | None]:
        fields = self._expressions.fields(column)
        by_row = self._by_row(rows, fields)
        return [self._expressions.value(by_row[row], column) for row in rows.tolist()]

    def count(  # noqa: D102 - see CandidateStore
        self, selection: Selection, below: int | None = None
    ) -> int:
        condition = "" if below is None else f"{ROW} < {below}"
        return self._milvus.count(self._vectors, self._expression(selection, condition))

    def rows_below(  # noqa: D102 - see CandidateStore
        self, row: int, selection: Selection
    ) -> NDArray[np.int64]:
        found = self._rows(self._expression(selection, f"{ROW} < {row}"), self.longest_list)
        return np.sort(np.array([entity[ROW] for entity in found], np.int64))

    def _by_row(self, rows: NDArray[np.int64], fields: Sequence[str]) -> dict[int, Entity]:
        """Fields of some rows, by row.

        Raises:
            StoreError: if a row is missing.
        """
        found = self._milvus.entities(self._vectors, ROW, rows.tolist(), fields)
        by_row = {entity[ROW]: entity for entity in found}
        if missing := [row for row in rows.tolist() if row not in by_row]:
            raise StoreError(
                f"{self._milvus.address} is damaged: {self._vectors} has no row {missing[0]}. "
                f"{RELOAD}"
            )
        return by_row

    def _rows(self, expression: str, limit: int) -> Any:
        return self._milvus.read(
            "query", self._vectors, filter=expression, output_fields=[ROW], limit=limit
        )

    def _expression(self, selection: Selection, condition: str = "") -> str:
        conditions = [condition] if condition else []
        if selection.filter is not None:
            conditions.append(f"({self._expressions.of(selection.filter)})")
        if selection.among is not None:
            conditions.append(f"({self._expressions.among(selection.among)})")
        if selection.beside is not None:
            conditions.append(f"not ({self._expressions.among(selection.beside)})")
        if selection.excluded:
            conditions.append(f"{ROW} not in {sorted(selection.excluded)}")
        return " and ".join(conditions) or ANY_ROW
