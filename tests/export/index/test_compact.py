"""Compaction: the next version is that of a build on the changed catalogue."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from export.cli import app
from export.dataset.catalogue import read_catalogue
from export.descriptors.engine_choice import EngineChoice
from export.index import search_levels
from export.index.build import IndexBuild
from export.index.compact import compact
from retrieval_server.changes.log_writer import WriterLock
from retrieval_server.index.publish import current_version, open_index
from retrieval_server.models.profile import Profile
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.export.index_builds import Build, add_row, files, picture
from tests.support.patience import PATIENCE_S, eventually
from tests.support.served import Served, ServedBy

CHANGED = {"p0001": "p0202", "new": "p0101"}  # product ids, and whose images they get


def change(served: Served, catalogue: Path) -> None:
    """Delete a product, replace one, add one, and one that is gone again."""
    requests = [
        pb.UpsertRequest(
            product_id=product_id,
            image=(catalogue / image_of(image)).read_bytes(),
            image_path=image_of(image),
            description=f"Nuxe ocean jar {product_id}",
            attributes={"brand": "Caudalie", "price": "7.5"},
        )
        for product_id, image in [("gone", "p0000"), *CHANGED.items()]
    ]
    assert not any(each.code for each in served.stub.Upsert(iter(requests), timeout=PATIENCE_S))
    served.stub.Delete(pb.DeleteRequest(product_ids=["p0000", "gone"]), timeout=PATIENCE_S)


def image_of(product_id: str) -> str:
    return f"images/{product_id}.{('png', 'jpg')[int(product_id[-1]) % 2]}"


def changed_catalogue(catalogue: Path) -> Path:
    """The catalogue that the changes make, as a file beside the first one."""
    with (catalogue / "catalog.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    rows = [row for row in rows if row[0] not in {"p0000", *CHANGED}]
    for product_id, image in CHANGED.items():
        text = f"Nuxe ocean jar {product_id}"
        rows.append([product_id, image_of(image), text, "Caudalie", "7.5"])
    path = catalogue / "changed.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_the_next_version_is_that_of_a_build_on_the_changed_catalogue(
    served_by: ServedBy,
    tiny_index_copy: Path,
    tiny_catalogue: Path,
    tiny_profile: Profile,
    tiny_repository: Path,
    tmp_path: Path,
) -> None:
    with served_by(index=tiny_index_copy, writable=True) as writer:
        change(writer, tiny_catalogue)
    with served_by(index=tiny_index_copy, reload_every_s=0.05) as follower:
        before = follower.search(product_id="new")
        assert before.change_position == 5
        done = CliRunner().invoke(app, ["compact", str(tiny_index_copy)])
        assert (done.exit_code, "has 5 changes" in done.stderr) == (0, True)
        version = current_version(tiny_index_copy)
        eventually(lambda: follower.search(product_id="new").index_version == version)
        after = follower.search(product_id="new", refine=False)
        assert after.change_position == 5
        assert [each.product_id for each in after.initial_results] == [
            each.product_id for each in before.initial_results
        ]
    catalogue = read_catalogue(changed_catalogue(tiny_catalogue))
    engine = EngineChoice(tiny_repository)
    built = IndexBuild(
        catalogue=catalogue, profile=tiny_profile, engine=engine, root=tmp_path / "built"
    ).run()
    assert built.folder.name == version
    assert "nothing to do" in CliRunner().invoke(app, ["compact", str(tiny_index_copy)]).stderr
    open_index(tiny_index_copy).verify()


def test_the_fit_the_kinds_and_the_rejects_are_computed_anew(
    served_by: ServedBy,
    build: Build,
    changed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With levels and float16, from an index three of whose images could not be read."""
    monkeypatch.setattr(search_levels, "SCANNED_ROWS", 3)
    whole = picture(changed).read_bytes()
    for name in ("mended", "gone", "broken"):
        (changed / "images" / f"{name}.png").write_bytes(whole[:99])
        add_row(changed, name, f"images/{name}.png", "a jar", "", "")
    index = tmp_path / "index"
    first = build(changed, index, half_precision=True)
    assert (first.manifest.rejected, first.manifest.search is None) == (3, False)
    (changed / "images" / "mended.png").write_bytes(whole)
    with served_by(index=index, writable=True) as writer:
        upserts = [
            pb.UpsertRequest(
                product_id=name,
                image=whole,
                image_path="images/mended.png",
                description="a jar in a new violet",
                attributes={"brand": "Nuxe"},
            )
            for name in ("mended", "gone", "p0001")
        ]
        assert not any(each.code for each in writer.stub.Upsert(iter(upserts), timeout=PATIENCE_S))
        writer.stub.Delete(pb.DeleteRequest(product_ids=["gone"]), timeout=PATIENCE_S)
    compacted = compact(index).folder
    rows = (changed / "catalog.csv").read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if row.partition(",")[0] not in {"mended", "gone", "p0001"}]
    new = [f"{name},images/mended.png,a jar in a new violet,Nuxe," for name in ("mended", "p0001")]
    (changed / "catalog.csv").write_text("\n".join([*kept, *new, ""]), encoding="utf-8")
    built = build(changed, tmp_path / "built", half_precision=True)
    assert built.manifest.rejected == 1
    assert files(compacted) == files(built.folder)


def test_a_killed_compaction_leaves_everything_as_it_was(
    served_by: ServedBy,
    tiny_index_copy: Path,
    tiny_catalogue: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served_by(index=tiny_index_copy, writable=True) as writer:
        change(writer, tiny_catalogue)
    version = current_version(tiny_index_copy)
    for step in ("write_words", "build_text_index", "seal", "store", "hand_over"):
        with monkeypatch.context() as patch:

            def killed(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(f"export.index.compact.{step}", killed)
            with pytest.raises(KeyboardInterrupt):
                compact(tiny_index_copy)
        assert current_version(tiny_index_copy) == version
        WriterLock(tiny_index_copy / "changes").close()
    assert compact(tiny_index_copy).changes == 5
    assert current_version(tiny_index_copy) != version
