"""The levels in the order of the cascade: the one list that everything else loops over."""

from __future__ import annotations

from retrieval_server.exact_search.levels.byte import ByteLevel
from retrieval_server.exact_search.levels.coarse import CoarseLevel
from retrieval_server.exact_search.levels.level import Level
from retrieval_server.exact_search.levels.middle import MiddleLevel
from retrieval_server.exact_search.levels.residual import ResidualLevel
from retrieval_server.exact_search.levels.stage import StageLevel

STAGE_LEVELS: tuple[StageLevel, ...] = (CoarseLevel(), MiddleLevel(), ResidualLevel())
BYTE_LEVEL = ByteLevel()
LEVELS: tuple[Level, ...] = (*STAGE_LEVELS, BYTE_LEVEL)
