"""The short form of `make soak`: four of its faults, without Triton."""

from tests.soak.soak import SoakSettings, soak
from tests.support.patience import PATIENCE_S

FURTHER_DESCRIPTORS = 40  # connections of callers, old ones among them


def test_a_server_under_faults_gives_no_wrong_answer_and_comes_back() -> None:
    happened: list[str] = []
    settings = SoakSettings(
        seconds=PATIENCE_S,
        every_s=0.3,
        with_triton=False,
        stopped_s=0.3,
        callers=3,
        pause_s=0.05,
        change_pause_s=0.05,
        compact_after=20,
        faults=4,
    )
    result = soak(settings, happened.append)
    assert (result.wrong, result.lost) == ([], [])
    assert all(result.changes[kind] > 0 for kind in ("upserts", "deletes"))
    assert result.outcomes["OK"] > 0
    assert len(happened) == 4
    assert result.starts == 1 + len(result.back_s.get("kill_server", []))
    assert result.exit_status == 0
    fewest, last = result.descriptors()
    assert last.descriptors <= fewest.descriptors + FURTHER_DESCRIPTORS
