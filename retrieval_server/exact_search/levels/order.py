"""The levels in the order of the cascade: the one list that everything else loops over."""

from __future__ import annotations

from retrieval_server.exact_search.levels.byte import ByteLevel
from retrieval_server.exact_search.levels.coarse import CoarseLevel
from retrieval_server.exact_search.levels.level import Level
from retrieval_server.exact_search.levels.middle import MiddleLevel
from retrieval_server.exact_search.levels.residual import ResidualLevel

COARSE_LEVEL = CoarseLevel()
ROW_LEVELS = (MiddleLevel(), ResidualLevel())
BYTE_LEVEL = ByteLevel()
LEVELS: tuple[Level, ...] = (COARSE_LEVEL, *ROW_LEVELS, BYTE_LEVEL)
