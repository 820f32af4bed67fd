"""A real ``beauty-server`` that is started again whenever it dies, as Kubernetes does."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.patience import PATIENCE_S, eventually


class SupervisedServer:
    """The process, or the one that took its place.

    Args:
        folder: for its address and its log.
        options: of the command.
    """

    def __init__(self, folder: Path, *options: object) -> None:
        self._address_file, self.log = folder / "address", folder / "server.log"
        self._command = [sys.executable, "-m", "retrieval_server", *map(str, options)]
        self._command += ["--port", "0", "--address-file", str(self._address_file)]
        self._stops = threading.Event()
        self.starts = 0
        self._process = self._started()
        eventually(lambda: self._address_file.is_file() or self._process.poll() is not None)
        assert self._process.poll() is None, self.log.read_text()
        threading.Thread(target=self._supervise, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id of the server that runs now; a restart changes it."""
        return self._process.pid

    @property
    def port(self) -> int:
        """Where it listens; raises OSError while it is starting."""
        return int(self._address_file.read_text().rpartition(":")[2])

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """End it by SIGTERM; returns its exit status."""
        self._stops.set()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)

    def _started(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        self._address_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log)

    def _supervise(self) -> None:
        while not self._stops.is_set():
            self._process.wait()
            if not self._stops.is_set():
                self._process = self._started()
