"""The day on which a certificate expires, beside what OpenSSL says."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval_server.access.expiry import expires_at
from retrieval_server.errors import RetrievalError
from tests.support.access import replace
from tests.support.scraped_metrics import value
from tests.support.served import ServedBy


def according_to_openssl(path: Path) -> float:
    command = ["openssl", "x509", "-in", path, "-noout", "-enddate"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ends = datetime.strptime(printed.strip(), "notAfter=%b %d %H:%M:%S %Y GMT")
    return ends.replace(tzinfo=UTC).timestamp()


def self_signed(path: Path, days: int) -> Path:
    key = path.with_suffix(".key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    command += ["-keyout", key, "-out", path, "-days", str(days)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("days", [1, 30_000], ids=["UTCTime", "GeneralizedTime"])
def test_a_certificate_expires_when_openssl_says(
    certificates: Path, tmp_path: Path, days: int
) -> None:
    path = self_signed(tmp_path / "own.pem", days)
    assert expires_at(path, "--tls-cert") == according_to_openssl(path)


def test_the_first_certificate_of_a_chain_counts(certificates: Path, tmp_path: Path) -> None:
    leaf, chain = certificates / "server.pem", tmp_path / "chain.pem"
    other = self_signed(tmp_path / "other.pem", 9)
    chain.write_bytes(b"# leaf\n" + leaf.read_bytes() + other.read_bytes())
    assert expires_at(chain, "--tls-cert") == according_to_openssl(leaf)


@pytest.mark.parametrize(
    "content",
    [
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_file_without_a_certificate_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.pem"
    path.write_text(content)
    with pytest.raises(RetrievalError, match=r"own.pem \(--tls-cert\) holds no PEM certificate"):
        expires_at(path, "--tls-cert")


def test_the_metric_follows_the_file(
    served_by: ServedBy, certificates: Path, tls: Path, tmp_path: Path
) -> None:
    sample = "beauty_certificate_expiry_timestamp_seconds"
    with served_by(
        metrics_port=0, tls_cert=tls / "server.pem", tls_key=tls / "server.key"
    ) as served:
        before = value(served, sample, certificate="server")
        assert before == according_to_openssl(certificates / "server.pem")
        renewed = self_signed(tmp_path / "renewed.pem", 77)
        replace(tls / "server.pem", renewed.read_bytes())
        assert value(served, sample, certificate="server") == according_to_openssl(renewed) > before
