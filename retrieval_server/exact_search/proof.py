"""What is proved of a ranking that was made from the candidates of another engine.

A search of our own files needs no proof: it is exact. An engine returns a list of candidates, and
the certificate (see stores.certificate) shows whether a row outside of the list can be among the
best.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Guarantee(Enum):
    """What is proved of a ranking.

    Attributes:
        EXACT: no other row belongs to it; the engine compares every vector.
        EXACT_FOR_LIST: no other row belongs to it, if the engine's list has the rows with the
            largest sums. The engine's index is approximate, so it does not promise that.
        NONE: another row may belong to it.
    """

    EXACT = "exact"
    EXACT_FOR_LIST = "exact_for_list"
    NONE = "none"


@dataclass(frozen=True)
class Proof:
    """What is proved of a ranking, and from how many candidates.

    Attributes:
        guarantee: what is proved.
        candidates: length of the engine's list.
        reason: why nothing is proved, or what the engine does not promise; empty for ``EXACT``.
    """

    guarantee: Guarantee
    candidates: int
    reason: str = ""
