"""The command ``beauty-search`` against a real gRPC server that records what it is asked."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

import client as client_room
from client import cli
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.beauty_search import beauty_search, json_lines
from tests.support.patience import PATIENCE_S
from tests.support.programs.command import command, print_loaded_modules, search_with_ctrl_c
from tests.support.recording_servicer import MODELS, started

COMMANDS = ("search", "similar", "products", "batch", "status", "smoke-test")
ESCAPE = "\x1b"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inside").mkdir(parents=True)
    contents = {"a.jpg": b"after the last", "b.PNG": b"bad", "c.webp": b"last", "notes.txt": b"?"}
    for name, content in {**contents, "inside/d.gif": b"deep"}.items():
        (folder / name).write_bytes(content)
    return folder


def process(*arguments: object, **given: object) -> "subprocess.Popen[str]":
    """Start ``beauty-search`` as a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR")}
    environment |= {"TERM": "xterm", **given.pop("env", {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given}
    return subprocess.Popen(
        command(search_with_ctrl_c, *arguments), text=True, env=environment, **streams
    )


def test_table_shows_each_product_and_how_it_came(address, photo):
    result = beauty_search("search", photo, "-s", address)
    assert result.exit_code == 0
    for product_id, came in [("1001", "visual"), ("2001", "text of #1 (0.83)"), ("1003", "fill")]:
        (row,) = [line for line in result.stdout.splitlines() if f" {product_id} " in line]
        assert row.rstrip().endswith(came)
    assert "0.910 -0.250" in result.stdout
    assert f"cosines: {MODELS[0]}, {MODELS[1]}" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [
        (0.12, "probably not in the catalogue (12 %)"),
        (0.5, "probably in the catalogue (50 %)"),
        (0.9, "probably in the catalogue (90 %)"),
        (0.004, "probably not in the catalogue (<1 %)"),
        (0.998, "probably in the catalogue (>99 %)"),
        (1.0, "probably in the catalogue (100 %)"),
    ],
)
def test_table_says_whether_the_catalogue_has_it_and_how_sure_each_match_is(
    servicer, address, photo, probability, verdict
):
    servicer.in_catalogue_probability = probability
    for extra in ((), ("--compare",)):
        lines = beauty_search("search", photo, "-s", address, *extra).stdout.splitlines()
        assert verdict in [line.strip() for line in lines]
    servicer.in_catalogue_probability = 0.9
    shown = beauty_search("search", photo, "-s", address).stdout
    assert re.search(r"1001 .* 90 % +visual", shown)
    assert re.search(r"2001 .* 30 % +text of #1", shown)
    (record,) = json_lines(beauty_search("search", photo, "-s", address, "--json").stdout)
    assert record["in_catalogue_probability"] == 0.9
    assert record["results"][1]["confidence"] == 0.45


def test_without_a_calibration_nothing_is_said_of_probabilities(address, photo):
    shown = beauty_search("search", photo, "-s", address).stdout
    assert "probably" not in shown
    assert "%" not in shown
    (record,) = json_lines(beauty_search("search", photo, "-s", address, "--json").stdout)
    assert record["in_catalogue_probability"] is record["results"][0]["confidence"] is None
    assert (
        "none; beauty-export calibrate makes one" in beauty_search("status", "-s", address).stdout
    )


def test_the_status_says_how_good_the_probabilities_are(servicer, address):
    servicer.in_catalogue_probability = 0.9
    shown = " ".join(beauty_search("status", "-s", address).stdout.split())
    assert "photo with read words: AUROC 0.931 (0.880…0.970) on 60 queries" in shown
    assert "measured on 1,298 products" in shown


@pytest.mark.parametrize("is_judged", [False, True])
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_fit_the_terminal_and_keep_product_ids_whole(
    servicer, address, photo, columns, is_judged
):
    servicer.in_catalogue_probability = 0.95 if is_judged else None
    for extra in ((), ("--compare",), ("--group-by", "product"), ("--compare", "--group-by", "a")):
        result = beauty_search("search", photo, "-s", address, *extra, columns=columns)
        assert max(map(len, result.stdout.splitlines())) <= columns
        assert {"1001", "1002", "2001", "1003"} <= set(re.findall(r"\b\d{4}\b", result.stdout))


def test_foreign_text_is_shown_as_text_without_control_characters(address, photo):
    result = beauty_search("search", photo, "-s", address, columns=200)
    assert "Velvet lipstick [red]no 1001[/red]  [31m with a long description" in result.stdout
    assert ESCAPE not in result.stdout


@pytest.mark.parametrize(("columns", "abreast"), [(80, False), (160, True)])
def test_compare_marks_what_left_and_what_came(address, photo, columns, abreast):
    result = beauty_search("search", photo, "-s", address, "--compare", columns=columns)
    titles = [line for line in result.stdout.splitlines() if " ranking" in line]
    assert len(titles) == (1 if abreast else 2)
    assert re.findall(r"- +4 +(\d+)", result.stdout) == ["1004"]
    assert re.findall(r"\+ +3 +(\d+)", result.stdout) == ["2001"]
    assert len(re.findall(r"[-+] +\d +\d{4}", result.stdout)) == 2
    assert "replaced 1 of 4" in result.stdout


def test_photos_joined_with_a_plus_are_one_search(servicer, address, tmp_path):
    for name in ("front.jpg", "c++.jpg", "back.webp"):
        (tmp_path / name).write_bytes(name.encode())
    argument = f"{tmp_path / 'front.jpg'}+{tmp_path / 'c++.jpg'}+{tmp_path / 'back.webp'}"
    result = beauty_search("search", argument, "-s", address, "--json")
    assert result.exit_code == 0
    assert json_lines(result.stdout)[0]["query"] == argument
    (request,) = servicer.requests
    assert request.image == b"front.jpg"
    assert list(request.more_images) == [b"c++.jpg", b"back.webp"]


@pytest.mark.parametrize(
    ("argument", "named"), [("a.jpg+gone.jpg", "gone.jpg"), ("gone.jpg+a.jpg", "gone.jpg"),
                            ("c++.jpg", "c++.jpg")]
)  # fmt: skip
def test_a_joined_photo_that_is_missing_is_named(address, photos, monkeypatch, argument, named):
    monkeypatch.chdir(photos)
    result = beauty_search("search", argument, "-s", address)
    assert result.exit_code == 1
    assert f"Cannot read {named}: No such file" in result.stderr


def test_json_is_one_object_on_one_line(address, photo):
    result = beauty_search("search", photo, "-s", address, "--json")
    (record,) = json_lines(result.stdout)
    assert record["query"] == str(photo)
    assert [m["product_id"] for m in record["results"]] == ["1001", "1002", "2001", "1003"]
    assert record["results"][2]["text"]["seed_product_id"] == "1001"
    assert record["results"][0]["stage"] == "initial"
    assert record["timings"]["total_us"] == 45_000


def test_options_arrive_at_the_server(servicer, address):
    options = ["-k", "5", "--keep", "2", "--no-refine", "--alpha", "a=1.5", "--alpha", "b=0"]
    assert beauty_search("similar", "1001", "-s", address, *options).exit_code == 0
    expected = pb.SearchRequest(
        product_id="1001", top_k=5, keep=2, refine=False, alpha={"a": 1.5, "b": 0}
    )
    assert servicer.requests == [expected]


def test_part_of_the_catalogue_arrives_with_every_query(servicer, address, photo):
    part = ("--exclude", "1001", "--exclude", "1002", "--min-similarity", "2.5")
    for query in (["search", photo], ["similar", "1001"], ["search", "--words", "nuxe"]):
        assert beauty_search(*query, *part, "-s", address).exit_code == 0
    assert [list(request.exclude_ids) for request in servicer.requests] == [["1001", "1002"]] * 3
    assert {request.min_similarity for request in servicer.requests} == {2.5}


def test_a_column_to_group_by_arrives_and_the_sizes_of_the_groups_are_shown(
    servicer, address, photo, photos
):
    (photos / "b.PNG").unlink()
    grouped = ("--group-by", "product", "-s", address)
    for query in (["search", photo], ["similar", "1001"], ["search", "--words", "nuxe"]):
        shown = beauty_search(*query, *grouped).stdout
        assert re.search(r"#\s+product\s+description\s+images\s+similarity", shown)
        assert re.search(r" 1002 .* 2,000 +[14]\.", shown)
        assert "images: how many of the group may be found" in shown
    compared = beauty_search("search", photo, "--compare", *grouped).stdout
    assert re.search(r"- +4 +1004 .* 4,000 +2\.", compared)
    assert re.search(r"\+ +3 +2001 .* 3,000 +3\.", compared)
    batch = beauty_search("batch", photos, *grouped).stdout
    assert re.search(r"a\.jpg +1001 .* 1,000 +5\.5000 +1 of 4", batch)
    (record,) = json_lines(beauty_search("search", photo, "--json", *grouped).stdout)
    assert record["results"][2]["group_size"] == record["initial_results"][2]["group_size"] == 3000
    assert {request.group_by for request in servicer.requests} == {"product"}
    plain = beauty_search("search", photo, "-s", address).stdout
    assert "images" not in plain


def test_words_arrive_with_a_photo_and_without(servicer, address, photo):
    words = ("--words", "nuxe oil", "--text-weight", "2.5")
    for query in (["search", photo], ["similar", "1001"], ["search"]):
        assert beauty_search(*query, *words, "-s", address).exit_code == 0
    assert [request.WhichOneof("query") for request in servicer.requests] == [
        "image",
        "product_id",
        None,
    ]
    assert {request.words for request in servicer.requests} == {"nuxe oil"}
    assert {request.text_weight for request in servicer.requests} == {2.5}


def test_table_shows_the_words_of_a_product_that_resemble_those_of_the_query(address):
    result = beauty_search("search", "--words", "nuxe", "-s", address)
    assert re.search(r"1001 .* 1\.7500 +0\.750 nuxe +words", result.stdout)
    assert re.search(r"1002 .* 1\.2500 +0\.250 +words", result.stdout)
    assert "huile" not in result.stdout
    assert "cosines" not in result.stdout
    (record,) = json_lines(
        beauty_search("search", "--words", "nuxe", "-s", address, "--json").stdout
    )
    assert record["query"] == "nuxe"
    assert record["results"][0]["words"]["matched"][1] == {"word": "huile", "share": 0.2}


def test_a_dash_reads_the_photo_from_standard_input(servicer, address):
    result = beauty_search("search", "-", "-s", address, "--json", input=b"\xff\xd8 piped")
    assert servicer.requests[0].image == b"\xff\xd8 piped"
    assert json_lines(result.stdout)[0]["query"] == "-"


def test_server_comes_from_the_environment(servicer, address, photo):
    beauty_search("search", photo, env={"BEAUTY_SEARCH_SERVER": address})
    assert len(servicer.requests) == 1


@pytest.mark.parametrize("timeout", ["inf", "1e12"])
def test_a_time_limit_may_be_infinite(address, timeout):
    assert beauty_search("status", "-s", address, "--timeout", timeout).exit_code == 0
    assert beauty_search("status", "-s", address, "--wait", timeout).exit_code == 0


def test_a_server_may_listen_on_a_unix_socket(servicer, tmp_path, photo):
    socket = f"unix:{tmp_path / 'search.sock'}"
    server, _ = started(servicer, socket=socket)
    assert beauty_search("search", photo, "-s", socket).exit_code == 0
    server.stop(grace=None).wait()


def test_an_id_that_is_not_utf8_is_one_line(address):
    result = beauty_search("similar", "a\udcff", "-s", address)
    assert result.exit_code == 1
    assert result.stderr == "error: product_id: 'a\\udcff' is not valid UTF-8.\n"


def test_status_shows_index_and_models(address):
    result = beauty_search("status", "-s", address)
    for fact in (
        *("500,000", "paper", "embedded", "1.0 GB", "abababababab", "keep 3", "20,971,520"),
        *("text-weight 1", "words of 10,000 characters", "text-weight 100"),
        *(
            "1,000 products by id",
            "group-by of 1,000 characters",
            "brand text 1,234 5,678",
            "price number 99 0",
        ),
        "description, brand, category: 499,000 texts; 321,000 images with words, read by ppocr "
        "cdcdcdcdcdcd",
    ):
        assert fact in " ".join(result.stdout.split())
    (record,) = json_lines(beauty_search("status", "-s", address, "--json").stdout)
    assert record["text_index"]["threshold"] == 0.5
    assert record["limits"]["max_image_bytes"] == 20 * 2**20


def test_products_are_shown_and_ids_that_are_not_there_end_in_an_error(servicer, address):
    result = beauty_search("products", "1002", "no", "1001", "-s", address, columns=100)
    assert servicer.ids_asked_for == [["1002", "no", "1001"]]
    assert result.exit_code == 1
    assert result.stderr == "error: 'no' is not in the index 2026-11-23.\n"
    said = " ".join(result.stdout.split())
    assert said.index("1002 Velvet [red]lipstick") < said.index("1001 Velvet [red]lipstick")
    assert "brand: Example, price: 12.50" in said
    assert ESCAPE not in result.stdout
    assert beauty_search("products", "no", "-s", address).stdout == ""
    result = beauty_search("products", "1002", "1001", "--json", "-s", address)
    assert result.exit_code == 0
    records = json_lines(result.stdout)
    assert [record["product_id"] for record in records] == ["1002", "1001"]
    assert records[0]["attributes"] == {"brand": "Example", "price": "12.50"}


def test_warnings_of_the_server_go_loudly_to_stderr(servicer, address, photo, photos):
    servicer.warnings = ["random weights: results mean nothing"]
    for arguments in (("search", photo), ("similar", "1001"), ("status",), ("batch", photos)):
        result = beauty_search(*arguments, "-s", address, "--json")
        assert result.stderr.count("WARNING: random weights: results mean nothing\n") == 1
        assert all(json_lines(result.stdout))


def test_batch_keeps_the_folders_order_and_reports_a_bad_image(address, photos):
    # The server answers a.jpg only after c.webp has arrived.
    result = beauty_search("batch", photos, "-s", address, "--json")
    assert result.exit_code == 1
    first, bad, last = json_lines(result.stdout)
    assert [Path(r["query"]).name for r in (first, bad, last)] == ["a.jpg", "b.PNG", "c.webp"]
    assert "image: cannot be decoded" in bad["error"]
    assert len(first["results"]) == len(last["results"]) == 4
    assert "3 images, 1 failed" in result.stderr


def test_batch_table_has_a_row_for_each_image(address, photos):
    result = beauty_search("batch", photos, "-s", address)
    assert result.exit_code == 1
    rows = [line for line in result.stdout.splitlines() if re.match(r"[abc]\.", line)]
    assert [row.split()[0] for row in rows] == ["a.jpg", "b.PNG", "c.webp"]
    assert "failed" in rows[1]
    assert rows[2].rstrip().endswith("1 of 4")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert f"{photos / 'b.PNG'}: " in errors[0]


def test_batch_looks_into_folders_when_asked(address, photos):
    (photos / "b.PNG").unlink()
    result = beauty_search("batch", photos, "-s", address, "--json", "--recursive")
    assert result.exit_code == 0
    names = [Path(record["query"]).name for record in json_lines(result.stdout)]
    assert names == ["a.jpg", "c.webp", "d.gif"]


def test_batch_names_what_it_leaves_out(address, photos):
    (photos / "b.PNG").unlink()
    (photos / "._a.jpg").write_bytes(b"Mac OS X")
    (photos / "set.jpg").mkdir()
    result = beauty_search("batch", photos, "-s", address)
    assert result.exit_code == 0
    assert result.stderr.startswith(
        f"WARNING: 3 left out of {photos}: notes.txt (no suffix of an image); inside, set.jpg "
        "(subfolder; --recursive searches it).\n2 images, 0 failed"
    )


def test_a_folder_without_images_says_what_is_there_instead(address, photos):
    for photo in photos.glob("?.*"):
        photo.unlink()
    result = beauty_search("batch", photos, "-s", address)
    assert result.exit_code == 1
    assert "--recursive" in result.stderr
    assert "notes.txt (no suffix of an image)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_without_images_is_a_clear_error(address, tmp_path):
    result = beauty_search("batch", tmp_path, "-s", address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: No images in {tmp_path}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["search", "batch"])
def test_unreachable_server_is_one_line_and_exit_1(closed_address, photo, photos, command):
    target = photo if command == "search" else photos
    result = beauty_search(command, target, "-s", closed_address)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(
        rf"error: Server {closed_address} cannot be reached \(.*\)\. Start one with .*\n",
        result.stderr,
    )


def test_waiting_in_vain_for_a_server_is_one_line_and_exit_1(closed_address):
    result = beauty_search("status", "--wait", "0.1", "-s", closed_address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: Server {closed_address} cannot be reached (no answer")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_each_help_ends_with_an_example_that_works(address, photo, photos, monkeypatch, command):
    (photos / "b.PNG").unlink()
    monkeypatch.chdir(photo.parent)
    last_line = beauty_search(*command.split(), "--help").stdout.rstrip().splitlines()[-1]
    assert last_line.startswith("  Example: beauty-search ")
    words = shlex.split(last_line.partition(">")[0])[2:]
    assert words[0] == command or not command
    assert beauty_search(*words, env={"BEAUTY_SEARCH_SERVER": address}).exit_code == 0


@pytest.mark.parametrize(
    "misuse",
    [
        "search",
        "search a b",
        "search a --top-k 0",
        "search a --alpha x",
        "search a --alpha =1",
        "search --words",
        "search a --text-weight -1",
        "status -s host:99999",
        "status -s http://host:1",
        "status --timeout nan",
        "status --wait nan",
        "?",
    ],
)
def test_misuse_is_exit_2(misuse):
    assert beauty_search(*misuse.split()).exit_code == 2


# As a process


def test_piped_output_has_no_colour_codes_no_progress_bar_and_suits_its_encoding(address, photos):
    (photos / "b.PNG").unlink()
    with process("batch", photos, "-s", address, env={"PYTHONIOENCODING": "ascii"}) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0
    assert "a.jpg" in stdout
    assert re.fullmatch(r"WARNING: 2 left out .+\n2 images, 0 failed, \d+\.\d s\n", stderr)
    assert stdout.isascii()
    assert ESCAPE not in stdout


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_closed_pipe_ends_quietly(address, photo, form):
    reader, writer = os.pipe()
    os.close(reader)
    with process("search", photo, "-s", address, *form, stdout=writer) as run:
        os.close(writer)
        _, stderr = run.communicate(timeout=PATIENCE_S)
    assert stderr == ""


@pytest.mark.parametrize("command", ["search", "batch"])
def test_ctrl_c_is_exit_130_without_a_traceback(servicer, address, tmp_path, command):
    held = tmp_path / "held.jpg"
    held.write_bytes(b"held")
    target = held if command == "search" else tmp_path
    with process(command, target, "-s", address, "--timeout", PATIENCE_S) as run:
        assert servicer.held_arrived.wait(PATIENCE_S)
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=PATIENCE_S / 2)
    assert run.returncode == 130
    assert (stdout, stderr) == ("", "")


def test_importing_the_client_needs_the_base_dependencies_only():
    run = subprocess.run(
        command(print_loaded_modules, client_room.__name__, cli.__name__),
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(run.stdout.split())
    assert loaded.isdisjoint({"numpy", "PIL", "torch", "onnxruntime", "export"})
    rooms = {name for name in loaded if name.startswith("retrieval_server.")}
    shared = ("retrieval_server.v1", "retrieval_server.command_line")
    assert all(name.startswith(shared) for name in rooms)
