"""The stages of the Dockerfile."""

import pytest

from tests.support.deploy.dockerfile import Stage, build_stages


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    return build_stages()
