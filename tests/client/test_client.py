"""The client room against a real gRPC server on port 0, with a small servicer that records."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

import client as client_room
from client import RetrievalClient, Stage
from client.cli import app
from client.results import decoded
from retrieval_server.v1 import retrieval_pb2 as pb
from tests.support.recording_servicer import INITIAL_IDS, MODELS, PATIENCE_S, Servicer, started

SHARED_NAMES = [
    "Example",
    "Limits",
    "Match",
    "Model",
    "SearchLevel",
    "TextEvidence",
    "TextIndex",
    "Timings",
]
COMMANDS = ("search", "similar", "batch", "status", "smoke-test")
ESCAPE = "\x1b"


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
def address(servicer: Servicer) -> Iterator[str]:
    server, address = started(servicer)
    yield address
    servicer.release.set()
    server.stop(grace=None).wait()


@pytest.fixture
def closed_address() -> str:
    """An address where nobody listens: the port was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return f"localhost:{probe.getsockname()[1]}"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inside").mkdir(parents=True)
    contents = {"a.jpg": b"after the last", "b.PNG": b"bad", "c.webp": b"last", "notes.txt": b"?"}
    for name, content in {**contents, "inside/d.gif": b"deep"}.items():
        (folder / name).write_bytes(content)
    return folder


def beauty_search(*arguments: object, columns: int = 80, **given: object) -> Result:
    """Run the command line in this process; an exception that escapes it fails the test."""
    environment = {"COLUMNS": str(columns), "BEAUTY_SEARCH_SERVER": None, **given.pop("env", {})}
    result = CliRunner().invoke(app, [str(a) for a in arguments], env=environment, **given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def process(*arguments: object, **given: object) -> "subprocess.Popen[str]":
    """Start the console script as a process of its own.

    Ctrl-C is what a terminal makes it; a job that a shell started with & would ignore it.
    """
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from client.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR")}
    environment |= {"TERM": "xterm", **given.pop("env", {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given}
    return subprocess.Popen(command, text=True, env=environment, **streams)


def json_lines(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


# The library


def test_every_search_parameter_arrives_at_the_server(servicer, address, photo):
    with RetrievalClient(address) as client:
        client.search(photo, top_k=5, keep=2, refine=False, alpha={MODELS[0]: 2.5})
    (request,) = servicer.requests
    assert (request.image, request.top_k, request.keep) == (b"photo", 5, 2)
    assert request.HasField("refine")
    assert not request.refine
    assert dict(request.alpha) == {MODELS[0]: 2.5}


def test_parameters_left_out_take_the_servers_defaults(servicer, address):
    with RetrievalClient(address) as client:
        client.search(b"photo")
        client.similar("1001")
    by_image, by_product = servicer.requests
    assert by_image == pb.SearchRequest(image=b"photo", refine=True)
    assert by_product == pb.SearchRequest(product_id="1001", refine=True)


def test_a_result_holds_plain_values_with_their_provenance(servicer, address):
    servicer.warnings = ["random weights"]
    with RetrievalClient(address) as client:
        result = client.search(b"photo")
    assert [m.product_id for m in result.results] == ["1001", "1002", "2001", "1003"]
    assert [m.product_id for m in result.initial_results] == list(INITIAL_IDS)
    first, _, refined, filled = result.results
    assert (first.stage, first.text) == (Stage.INITIAL, None)
    assert (first.similarity, first.cosines) == (5.5, {MODELS[0]: 0.91, MODELS[1]: -0.25})
    assert (first.image, first.attributes) == ("images/1001.jpg", {"brand": "Example"})
    assert refined.stage is Stage.REFINED
    assert refined.text == client_room.TextEvidence("1001", 1, 0.834)
    assert filled.stage is Stage.FILLED
    assert (result.timings.encode_us, result.timings.total_us) == (30_000, 45_000)
    assert (result.index_version, result.request_id) == ("2026-11-23", "r-1")
    assert (result.subset_size, result.warnings) == (1, ("random weights",))
    assert result.models[0].dimension == 1920


def test_status_holds_index_models_and_text_index(address):
    with RetrievalClient(address) as client:
        status = client.status()
    assert (status.profile, status.product_count, status.engine) == ("paper", 500_000, "embedded")
    assert [model.name for model in status.models] == list(MODELS)
    assert status.text_index == client_room.TextIndex(400_000, 9_000_000, 0.5)
    assert (status.default_top_k, status.default_keep) == (7, 3)
    assert status.limits == client_room.Limits(20 * 2**20, 21 * 2**20, 100, 1e6, 64, 50_000_000)
    assert status.search_levels == (
        client_room.SearchLevel("coarse", 66_000_000, True),
        client_room.SearchLevel("originals", 7_900_000_000, False),
    )


def test_a_server_that_is_too_old_to_report_its_limits_is_still_understood(servicer, address):
    servicer.limits = None
    with RetrievalClient(address) as client:
        assert client.status().limits is None
    assert "not reported by this server" in beauty_search("status", "-s", address).stdout


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (client_room.SearchResult, pb.SearchResponse),
        (client_room.ServerStatus, pb.GetStatusResponse),
        *((getattr(client_room, name), getattr(pb, name)) for name in SHARED_NAMES),
    ],
)
def test_a_result_has_the_fields_of_its_message(cls, message):
    names = {field.name for field in dataclasses.fields(cls)}
    assert names == {field.name for field in message.DESCRIPTOR.fields}
    decoded(cls, message())


def test_a_stage_of_a_newer_server_is_unknown_rather_than_an_error():
    message = pb.Match(product_id="1001", stage=99)
    assert decoded(client_room.Match, message).stage is Stage.UNKNOWN


def test_one_client_serves_many_threads(servicer, address):
    with RetrievalClient(address) as client, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(client.search, [b"photo"] * 32))
    assert all(len(result.results) == 4 for result in results)
    assert len(servicer.requests) == 32


def test_servers_behind_one_name_take_turns():
    servicers = [Servicer(), Servicer()]
    servers, addresses = zip(*map(started, servicers), strict=True)
    ports = [address.rpartition(":")[2] for address in addresses]
    deadline = time.monotonic() + PATIENCE_S
    with RetrievalClient(f"ipv4:{','.join(f'127.0.0.1:{port}' for port in ports)}") as client:
        while not all(each.requests for each in servicers):  # the second connects in its time
            client.search(b"photo")
            assert time.monotonic() < deadline
        before = [len(each.requests) for each in servicers]
        for _ in range(8):
            client.search(b"photo")
    assert [len(each.requests) - old for each, old in zip(servicers, before, strict=True)] == [4, 4]
    for server in servers:
        server.stop(grace=None).wait()


@pytest.mark.parametrize("status", ["UNAVAILABLE", "CANCELLED"])
def test_what_a_server_going_away_refuses_is_retried_even_for_a_large_image(
    servicer, address, status
):
    servicer.refusals = [(grpc.StatusCode[status], "going away")]
    image = bytes(20 * 1024 * 1024)
    with RetrievalClient(address) as client:
        client.search(image)
    assert [len(request.image) for request in servicer.requests] == [len(image)] * 2


def test_a_call_that_its_caller_cancels_is_not_tried_again(servicer, address):
    with RetrievalClient(address) as client, ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.search, b"held")
        while not servicer.requests:
            time.sleep(0.01)
        client.close()
        with pytest.raises(client_room.RetrievalError):
            call.result(PATIENCE_S)
    assert len(servicer.requests) == 1


@pytest.mark.parametrize(
    ("code", "kind", "line"),
    [
        ("NOT_FOUND", "ProductNotFoundError", "Not found on {}: why. Take a product id"),
        ("INVALID_ARGUMENT", "InvalidQueryError", "Server {} refused the query: why."),
        ("RESOURCE_EXHAUSTED", "OverloadedError", "Too much for server {}: why. Send a smaller"),
        ("UNIMPLEMENTED", "RetrievalError", "Server {} does not speak retrieval_server.v1: why"),
        ("INTERNAL", "RetrievalError", "Server {} failed with INTERNAL: why. The server's log"),
    ],
)
def test_each_status_becomes_its_error_with_one_line(servicer, address, code, kind, line):
    status = grpc.StatusCode[code]
    servicer.refusals = [(status, "why.")]
    with (
        RetrievalClient(address) as client,
        pytest.raises(client_room.RetrievalError, match="why") as caught,
    ):
        client.search(b"photo")
    assert type(caught.value).__name__ == kind
    assert caught.value.code is status
    assert str(caught.value).startswith(line.format(address))
    assert "\n" not in str(caught.value)


def test_a_late_answer_is_an_error_that_names_the_time_limit(address):
    with (
        RetrievalClient(address, timeout_s=0.2) as client,
        pytest.raises(client_room.DeadlineExceededError, match=r"within 0\.2 s") as caught,
    ):
        client.search(b"held")
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_unreadable_files_are_refused_before_anything_is_sent(servicer, address, tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    cases = {tmp_path / "no.jpg": "No such file", tmp_path: "is a folder", empty: "is empty"}
    with RetrievalClient(address) as client:
        for path, reason in cases.items():
            with pytest.raises(client_room.UnreadableFileError, match=reason) as caught:
                client.search(path)
            assert str(path) in str(caught.value)
            assert caught.value.code is None
        with pytest.raises(client_room.UnreadableFileError, match="empty"):
            client.search(b"")
    assert servicer.requests == []


@pytest.mark.parametrize("name", ["top_k", "keep"])
def test_zero_results_are_refused_rather_than_read_as_the_default(address, name):
    with RetrievalClient(address) as client, pytest.raises(ValueError, match=f"{name} must be"):
        client.search(b"photo", **{name: 0})


def test_a_count_that_the_protocol_cannot_carry_is_one_line_and_exit_1(servicer, address):
    result = beauty_search("similar", "1001", "--top-k", 2**32, "-s", address)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: top_k of 4294967296 is more than any server takes")
    assert servicer.requests == []


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(address, closed_address, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{closed_address}")
    with RetrievalClient(address) as client:
        assert client.status().profile == "paper"


def test_waiting_lasts_until_the_server_is_ready(servicer, address):
    # Five refusals: one more than gRPC itself retries.
    servicer.refusals = [(grpc.StatusCode.UNAVAILABLE, "loading the index")] * 5
    with RetrievalClient(address) as client:
        assert client.wait_until_ready(PATIENCE_S).profile == "paper"
    assert servicer.refusals == []


def test_waiting_in_vain_says_why_the_server_was_not_ready(servicer, address):
    servicer.refusals = [(grpc.StatusCode.UNAVAILABLE, "loading the index")] * 100
    with (
        RetrievalClient(address) as client,
        pytest.raises(client_room.UnavailableError, match="cannot answer now: loading") as caught,
    ):
        client.wait_until_ready(1.0)  # gRPC's own retries take up to 0.84 s of it
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_tls_is_spoken_when_an_authority_is_given(servicer, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    request += " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = [*shlex.split(request), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    pair = (key.read_bytes(), certificate.read_bytes())
    server, address = started(servicer, grpc.ssl_server_credentials([pair]))
    result = beauty_search("status", "--server", address, "--tls-ca", certificate, "--json")
    server.stop(grace=None).wait()
    assert json_lines(result.stdout)[0]["profile"] == "paper"


# The command line


def test_table_shows_each_product_and_how_it_came(address, photo):
    result = beauty_search("search", photo, "-s", address)
    assert result.exit_code == 0
    for product_id, came in [("1001", "visual"), ("2001", "text of #1 (0.83)"), ("1003", "fill")]:
        (row,) = [line for line in result.stdout.splitlines() if f" {product_id} " in line]
        assert row.rstrip().endswith(came)
    assert "0.910 -0.250" in result.stdout
    assert f"cosines: {MODELS[0]}, {MODELS[1]}" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_fit_the_terminal_and_keep_product_ids_whole(address, photo, columns):
    for extra in ((), ("--compare",)):
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


def test_a_dash_reads_the_photo_from_standard_input(servicer, address):
    result = beauty_search("search", "-", "-s", address, "--json", input=b"\xff\xd8 piped")
    assert servicer.requests[0].image == b"\xff\xd8 piped"
    assert json_lines(result.stdout)[0]["query"] == "-"


def test_server_comes_from_the_environment(servicer, address, photo):
    beauty_search("search", photo, env={"BEAUTY_SEARCH_SERVER": address})
    assert len(servicer.requests) == 1


def test_status_shows_index_and_models(address):
    result = beauty_search("status", "-s", address)
    for fact in ("500,000", "paper", "embedded", "1.0 GB", "abababababab", "keep 3", "20,971,520"):
        assert fact in result.stdout
    (record,) = json_lines(beauty_search("status", "-s", address, "--json").stdout)
    assert record["text_index"]["threshold"] == 0.5
    assert record["limits"]["max_image_bytes"] == 20 * 2**20


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
        "?",
    ],
)
def test_misuse_is_exit_2(misuse):
    assert beauty_search(*misuse.split()).exit_code == 2


# The command line as a process


def test_piped_output_has_no_colour_codes_no_progress_bar_and_suits_its_encoding(address, photos):
    (photos / "b.PNG").unlink()
    with process("batch", photos, "-s", address, env={"PYTHONIOENCODING": "ascii"}) as run:
        stdout, stderr = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0
    assert "a.jpg" in stdout
    assert re.fullmatch(r"2 images, 0 failed, \d+\.\d s\n", stderr)
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
    program = "import sys, client, client.cli; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded = set(run.stdout.split())
    assert loaded.isdisjoint({"numpy", "PIL", "torch", "onnxruntime", "export"})
    rooms = {name for name in loaded if name.startswith("retrieval_server.")}
    assert all(name.startswith("retrieval_server.v1") for name in rooms)
