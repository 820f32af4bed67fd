"""Certificates as cert-manager makes them of a Certificate of the manifests, by openssl."""

import subprocess
from pathlib import Path

from deploy.policies.rendering import Manifests


def signed(authority: Path, folder: Path, name: str, hosts: list[str]) -> tuple[Path, Path]:
    """Make a certificate with some names.

    Args:
        authority: folder with ``ca.pem`` and ``ca.key``.
        folder: where the files are written.
        name: of the files.
        hosts: the names that it is valid for.

    Returns:
        The certificate and its key.
    """
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    names = ",".join(f"{kind_of(host)}:{host}" for host in hosts)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2"]
    command += ["-CA", str(authority / "ca.pem"), "-CAkey", str(authority / "ca.key")]
    command += ["-addext", "basicConstraints=CA:FALSE", "-addext", f"subjectAltName={names}"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def certificate_of(
    rendered: Manifests, name: str, authority: Path, folder: Path
) -> tuple[Path, Path]:
    """Make what the Secret of ``Certificate/name`` holds; see ``signed``."""
    spec = rendered.get(f"Certificate/{name}")["spec"]
    return signed(authority, folder, name, spec["dnsNames"])


def kind_of(host: str) -> str:
    """What a subject alternative name is: an address or a name."""
    return "IP" if host.replace(".", "").isdigit() else "DNS"
