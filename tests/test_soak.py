"""The short form of `make soak`: every kind of fault but Triton's, within seconds."""

from tests.soak.soak import SoakSettings, soak

FURTHER_DESCRIPTORS = 40  # connections of callers, old ones among them


def test_a_server_under_faults_gives_no_wrong_answer_and_comes_back() -> None:
    happened: list[str] = []
    settings = SoakSettings(
        seconds=4, every_s=0.3, with_triton=False, stopped_s=0.3, callers=3, pause_s=0.05
    )
    result = soak(settings, happened.append)
    assert result.wrong == []
    assert result.outcomes["OK"] > 0
    assert len(happened) >= 2
    assert result.starts == 1 + len(result.back_s.get("kill_server", []))
    assert result.exit_status == 0
    fewest, last = result.descriptors()
    assert last.descriptors <= fewest.descriptors + FURTHER_DESCRIPTORS
