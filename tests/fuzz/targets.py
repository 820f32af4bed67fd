"""The table of what is fuzzed."""

from tests.fuzz.access_files import ACCESS_FILES
from tests.fuzz.catalogues import CATALOGUES
from tests.fuzz.change_log import CHANGES
from tests.fuzz.images import IMAGES
from tests.fuzz.index_files import FILES, VALUES_IN_JSON
from tests.fuzz.requests import FILTERS_SENT, FILTERS_TYPED, REQUESTS

TARGETS = (
    IMAGES,
    REQUESTS,
    FILTERS_SENT,
    FILTERS_TYPED,
    FILES,
    VALUES_IN_JSON,
    *CHANGES,
    *CATALOGUES,
    *ACCESS_FILES,
)
