"""What an answer says of the catalogue, in words: does it have what the photo shows?"""

from client.results import SearchResult
from client.server_status import Calibration

IN_CATALOGUE = 0.5  # a smaller probability means that the product is probably not there


def verdict(result: SearchResult) -> str:
    """Whether the catalogue has what the photo shows; empty if the answer does not say."""
    probability = result.in_catalogue_probability
    if probability is None:
        return ""
    where = "in" if probability >= IN_CATALOGUE else "not in"
    return f"probably {where} the catalogue ({percent(probability)})"


def percent(probability: float) -> str:
    """A probability in whole percents; one that is not certain is never shown as certain."""
    if 0 < probability < 0.01:
        return "<1 %"
    if 0.99 < probability < 1:
        return ">99 %"
    return f"{100 * probability:.0f} %"


def calibration_summary(calibration: Calibration | None) -> str:
    """The kinds of queries that get probabilities, and how good these are."""
    if calibration is None:
        return "none; beauty-export calibrate makes one"
    kinds = "; ".join(
        f"{kind.name}: AUROC {kind.in_catalogue.auroc:.3f} "
        f"({kind.in_catalogue.auroc_low:.3f}…{kind.in_catalogue.auroc_high:.3f}) "
        f"on {kind.query_count:,} queries"
        for kind in calibration.kinds
    )
    return f"{kinds}; measured on {calibration.product_count:,} products"
