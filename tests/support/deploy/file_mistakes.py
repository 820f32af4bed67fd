"""Mistakes in the files of one machine, as a text that is replaced by another one."""

from dataclasses import dataclass

COMPOSE, GPU, DOCKERFILE = "compose.yaml", "compose.gpu.yaml", "images/Dockerfile"


@dataclass(frozen=True)
class FileMistake:
    """A text of a file, and what stands there by mistake.

    Attributes:
        name: what a reviewer would call it.
        file: in ``deploy/``.
        old: the text; its first occurrence is replaced.
        new: what stands there then.
        found_by: the policy.
    """

    name: str
    file: str
    old: str
    new: str
    found_by: str = "compose"


F = FileMistake
FILE_MISTAKES = [
    F("Triton too old for its configurations", DOCKERFILE, "tritonserver:26.07-py3",
      "tritonserver:24.10-py3", "images"),
    F("Python of another minor version", DOCKERFILE, "python:3.11.14", "python:3.9.20", "images"),
    F("dependency by service_started", COMPOSE, "condition: service_healthy",
      "condition: service_started"),
    F("index writable by the server", COMPOSE, "- index:/index:ro", "- index:/index"),
    F("HTTP port as gRPC", COMPOSE, "RETRIEVAL_TRITON_URL: triton:8001",
      "RETRIEVAL_TRITON_URL: triton:8000"),
    F("open to the network", COMPOSE, "- 127.0.0.1:50051:50051", "- 50051:50051"),
    F("published at another port", COMPOSE, "127.0.0.1:9464:9464", "127.0.0.1:9464:9090"),
    F("Triton on the outside network", COMPOSE, "networks: [models]",
      "networks: [models, outside]"),
    F("server on one network", COMPOSE, "networks: [models, outside]", "networks: [models]"),
    F("models network reaches out", COMPOSE, "internal: true", "internal: false"),
    F("job restarts for ever", COMPOSE, 'restart: "no"', "restart: always"),
    F("job started with the servers", COMPOSE, "    profiles: [index]\n", ""),
    F("killed after three seconds", COMPOSE, "    stop_grace_period: 30s\n    networks: [models, o",
      "    stop_grace_period: 3s\n    networks: [models, o"),
    F("drains longer than it may", COMPOSE, 'RETRIEVAL_DRAIN_S: "20"', 'RETRIEVAL_DRAIN_S: "60"'),
    F("embedded engine", COMPOSE, "RETRIEVAL_ENGINE: triton", "RETRIEVAL_ENGINE: embedded"),
    F("engine not set", COMPOSE, "      RETRIEVAL_ENGINE: triton\n", ""),
    F("shared memory of 64k", COMPOSE, "shm_size: 256m", "shm_size: 64k"),
    F("no room for the compiled search", COMPOSE, "size=512m", "size=5m"),
    F("root file system writable", COMPOSE, "read_only: true", "read_only: false"),
    F("keeps a capability", COMPOSE, "cap_drop: [ALL]", "cap_drop: [ALL]\n  cap_add: [NET_ADMIN]"),
    F("server built as export", COMPOSE, "target: server", "target: export"),
    F("image of another version", COMPOSE, "beauty-retrieval-export:0.1.0",
      "beauty-retrieval-export:latest"),
    F("index written to the catalogue", COMPOSE, "--output, /index]", "--output, /catalogue]"),
    F("index written where nothing is mounted", COMPOSE, "--output, /index]", "--output, /data]"),
    F("option that there is not", COMPOSE, "--output, /index]", "--out, /index]"),
    F("models loaded at run time", COMPOSE, "--model-control-mode=none",
      "--model-control-mode=poll"),
    F("Triton on loopback", COMPOSE, "      - --exit-timeout-secs=20",
      "      - --exit-timeout-secs=20\n      - --grpc-address=127.0.0.1"),
    F("health check off", COMPOSE, "    shm_size: 256m",
      "    shm_size: 256m\n    healthcheck: {disable: true}"),
    F("catalogue writable", COMPOSE, ":/catalogue:ro", ":/catalogue"),
    F("no GPU reserved", GPU, "count: all", "count: 0"),
    F("another device", GPU, "capabilities: [gpu]", "capabilities: [utility]"),
    F("configuration that there is not", GPU, "--model-config-name=cuda",
      "--model-config-name=gpu"),
]  # fmt: skip
