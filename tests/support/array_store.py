"""A candidate store over arrays in memory: what an engine does, in float32."""

import numpy as np

from retrieval_server.stores.candidate_store import Selection, SumList


class ArrayStore:
    """The descriptors of a database; a test can make it approximate, or its vectors compressed."""

    longest_list = 16_384

    def __init__(self, database, missing=(), digits=None, columns=None):
        self.database = [np.asarray(part, np.float32) for part in database]
        self.vectors = np.concatenate(self.database, axis=1)
        self.rectified = tuple(bool((part >= 0).all()) for part in self.database)
        self.missing = np.array(missing, np.int64)  # what the engine's index does not find
        self.approximation = "HNSW" if len(self.missing) else ""
        self.compressed = self.vectors if digits is None else self.vectors.round(digits)
        self.columns = columns or {}  # by name, the value of each row; None where it is missing
        self.lists = []  # the length of each list that was asked for

    def search_sum(self, query, top_m, selection):
        self.lists.append(top_m)
        rows = np.setdiff1d(self._selected(selection), self.missing)
        sums = self.compressed[rows] @ query
        order = np.argsort(-sums, kind="stable")[:top_m]
        return SumList(rows[order], sums[order].astype(np.float64))

    def fetch(self, rows):
        return tuple(part[rows] for part in self.database)

    def passing(self, rows, selection):
        return np.isin(rows, self._selected(selection))

    def values(self, rows, column):
        return [self.columns[column][row] for row in rows.tolist()]

    def count(self, selection, below=None):
        rows = self._selected(selection)
        return len(rows) if below is None else int((rows < below).sum())

    def rows_below(self, row, selection):
        rows = self._selected(selection)
        return rows[rows < row]

    def _selected(self, selection: Selection):
        assert selection.filter is None, "this store has no filters"
        rows = np.setdiff1d(np.arange(len(self.vectors)), list(selection.excluded)).astype(np.int64)
        for values, is_wanted in ((selection.among, True), (selection.beside, False)):
            if values is not None:
                has_one = [value in values.values for value in self.values(rows, values.column)]
                rows = rows[np.array(has_one, np.bool_) == is_wanted]
        return rows
