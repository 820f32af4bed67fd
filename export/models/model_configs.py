"""``config.pbtxt`` of every model, made as Triton's own protobuf rather than as text.

Each model has one configuration for every machine, and others that Triton takes instead when it is
started with ``--model-config-name``:

============================= =====================================================================
``config.pbtxt``              runs on a CPU, or on a GPU where there is one; batched for a CPU
``configs/cuda.pbtxt``        a GPU or nothing: ONNX Runtime's CUDA provider, float32
``configs/tensorrt.pbtxt``    a GPU or nothing: TensorRT, float16, engines kept in a cache; as
                              ``cuda`` for a model of images of any size
``configs/openvino.pbtxt``    a CPU: OpenVINO, bfloat16; of backbones only, so that a reader's
                              models stay as they are
============================= =====================================================================

All are made from the first one. Those for a GPU limit the length of a queue as well, which the
first does not: in a Triton before 26.03, a member of an ensemble whose queue is full takes the
server down with it or never answers (Triton core, pull request 470). There, the time in the queue
is the limit, and the retrieval server's own limit of requests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from retrieval_server.models.image_model import (
    DESCRIPTOR_OUTPUT,
    FINGERPRINT_OUTPUT,
    FINGERPRINT_WORDS,
    FREE,
    IMAGE_INPUT,
)
from retrieval_server.models.model_repository import CONFIG_FILE, MODEL_FILE
from retrieval_server.models.profile import Backbone, Profile

VARIANTS = "configs"  # where Triton looks for --model-config-name
HEADER = "# Written by `beauty-export onnx`; change export/models/model_configs.py instead.\n"

MAX_BATCH_SIZE = 4  # images; on a CPU a batch of 8 takes 8 % longer for each of them
INSTANCES = 2  # of each model; with one thread each, they share the cores without fighting
THREADS_PER_INSTANCE = 1
THREADS_KEY = "intra_op_thread_count"
MAX_QUEUE_DELAY_US = 100  # on a CPU a batch is no faster than its images, so hardly ever wait
LONGEST_IN_QUEUE_US = 120_000_000  # the `timeout` of a request may shorten it, not extend it

GPU_MAX_BATCH_SIZE = 32
GPU_MAX_QUEUE_DELAY_US = 2_000  # a GPU gains from batches
GPU_MAX_QUEUE_SIZE = 256  # requests
TENSORRT_WORKSPACE_BYTES = 2**30
TENSORRT_CACHE = "/var/cache/tensorrt"  # mount a volume there: engines take minutes to build


@dataclass(frozen=True, kw_only=True)
class GpuVariant:
    """One way to run a model on a GPU.

    Attributes:
        name: name of the configuration, for ``--model-config-name``.
        accelerator: ONNX Runtime's provider, as Triton names it.
        options: options of the provider.
        instances: number of instances of each model on each GPU.
        warmup_batches: sizes of the batches to run before the model is ready.
    """

    name: str
    accelerator: str
    options: Mapping[str, str]
    instances: int
    warmup_batches: tuple[int, ...]


CUDA = GpuVariant(
    name="cuda",
    accelerator="cuda",
    options={"use_tf32": "0"},  # the default would round every product to 10 bits
    instances=2,
    warmup_batches=(1, GPU_MAX_BATCH_SIZE),
)
GPU_VARIANTS = (
    CUDA,
    GpuVariant(
        name="tensorrt",
        accelerator="tensorrt",
        options={
            "precision_mode": "FP16",
            "max_workspace_size_bytes": str(TENSORRT_WORKSPACE_BYTES),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": TENSORRT_CACHE,
            "trt_timing_cache_enable": "1",
        },
        instances=1,  # an engine fills a GPU by itself
        warmup_batches=(1, GPU_MAX_BATCH_SIZE),  # both ends of its range of shapes
    ),
)
OPENVINO = "openvino"
OPENVINO_PARAMETERS = {  # of Triton's backend `openvino`
    "HINT_BF16": "YES",
    "INFERENCE_NUM_THREADS": str(THREADS_PER_INSTANCE),
    "NUM_STREAMS": "1",  # of each instance
}
WITH_FREE_DIMS = CUDA  # TensorRT would build an engine, for minutes, for each new size of an image


def backbone_config(backbone: Backbone, side: int, dimension: int) -> triton.ModelConfig:
    """Configure one backbone: image (B, S, S, 3) uint8 → descriptor (B, C) float32.

    Args:
        backbone: which model.
        side: S, height and width in pixels.
        dimension: C, length of a descriptor.
    """
    descriptor = _descriptor(DESCRIPTOR_OUTPUT, dimension)
    return image_model_config(backbone.model, (side, side, 3), [descriptor])


def image_model_config(
    name: str,
    dims: Sequence[int],
    outputs: Sequence[triton.ModelOutput],
    warm_up_dims: Sequence[int] | None = None,
) -> triton.ModelConfig:
    """Configure a model from uint8 images to some outputs and the fingerprint of its weights.

    ``instance_group`` has no kind, so that the same file runs on a CPU and on a GPU.

    Args:
        name: the model.
        dims: of its images, (H, W, 3); ``FREE`` for a length that differs between images.
        outputs: its outputs, without the fingerprint.
        warm_up_dims: the size of the images to warm up with; None if ``dims`` has no free length.
    """
    return triton.ModelConfig(
        name=name,
        backend="onnxruntime",
        max_batch_size=MAX_BATCH_SIZE,
        input=[_image(dims)],
        output=[*outputs, _fingerprint(FINGERPRINT_OUTPUT)],
        version_policy=triton.ModelVersionPolicy(
            latest=triton.ModelVersionPolicy.Latest(num_versions=1)
        ),
        instance_group=[triton.ModelInstanceGroup(count=INSTANCES)],
        dynamic_batching=triton.ModelDynamicBatching(
            max_queue_delay_microseconds=MAX_QUEUE_DELAY_US,
            default_queue_policy=triton.ModelQueuePolicy(
                timeout_action=triton.ModelQueuePolicy.REJECT,
                default_timeout_microseconds=LONGEST_IN_QUEUE_US,
                allow_timeout_override=True,
            ),
        ),
        model_warmup=[_warmup(1, warm_up_dims or dims)],
        parameters={THREADS_KEY: triton.ModelParameter(string_value=str(THREADS_PER_INSTANCE))},
    )


def gpu_config(config: triton.ModelConfig, variant: GpuVariant) -> triton.ModelConfig:
    """Change a model's configuration for a GPU.

    Args:
        config: what ``image_model_config`` made; stays as it is.
        variant: how to run it.
    """
    if FREE in config.input[0].dims:
        variant = WITH_FREE_DIMS
    changed = triton.ModelConfig()
    changed.CopyFrom(config)
    changed.max_batch_size = GPU_MAX_BATCH_SIZE
    changed.instance_group[0].kind = triton.ModelInstanceGroup.KIND_GPU
    changed.instance_group[0].count = variant.instances
    changed.dynamic_batching.max_queue_delay_microseconds = GPU_MAX_QUEUE_DELAY_US
    changed.dynamic_batching.default_queue_policy.max_queue_size = GPU_MAX_QUEUE_SIZE
    changed.optimization.execution_accelerators.gpu_execution_accelerator.add(
        name=variant.accelerator, parameters=variant.options
    )
    del changed.parameters[THREADS_KEY]  # of the CPU
    dims = list(config.model_warmup[0].inputs[IMAGE_INPUT].dims)
    del changed.model_warmup[:]
    changed.model_warmup.extend(_warmup(size, dims) for size in variant.warmup_batches)
    return changed


def openvino_config(config: triton.ModelConfig) -> triton.ModelConfig:
    """Change a backbone's configuration for OpenVINO, which computes in bfloat16 on a CPU.

    Args:
        config: what ``backbone_config`` made; stays as it is.
    """
    changed = triton.ModelConfig()
    changed.CopyFrom(config)
    changed.backend = OPENVINO
    changed.default_model_filename = MODEL_FILE  # the backend's own default is another format
    changed.instance_group[0].kind = triton.ModelInstanceGroup.KIND_CPU
    del changed.parameters[THREADS_KEY]  # of onnxruntime
    for key, value in OPENVINO_PARAMETERS.items():
        changed.parameters[key].string_value = value
    return changed


def ensemble_config(profile: Profile, dimensions: Mapping[str, int]) -> triton.ModelConfig:
    """Configure a profile's ensemble: one image in; a descriptor and a fingerprint by backbone.

    Args:
        profile: which backbones, in which order.
        dimensions: length of a descriptor by model name.
    """
    outputs, steps = [], []
    for model in profile.models:
        fingerprint = f"{model}_{FINGERPRINT_OUTPUT}"
        outputs += [_descriptor(model, dimensions[model]), _fingerprint(fingerprint)]
        steps.append(
            triton.ModelEnsembling.Step(
                model_name=model,
                model_version=-1,
                input_map={IMAGE_INPUT: IMAGE_INPUT},
                output_map={DESCRIPTOR_OUTPUT: model, FINGERPRINT_OUTPUT: fingerprint},
            )
        )
    return triton.ModelConfig(
        name=profile.name,
        platform="ensemble",
        max_batch_size=MAX_BATCH_SIZE,
        input=[_image((profile.side, profile.side, 3))],
        output=outputs,
        ensemble_scheduling=triton.ModelEnsembling(step=steps),
    )


def write_model_configs(folder: Path, config: triton.ModelConfig) -> None:
    """Write a model's ``config.pbtxt`` and its variants; each in one step.

    Args:
        folder: the model's folder; made if needed.
        config: what ``image_model_config`` made.
    """
    (folder / VARIANTS).mkdir(parents=True, exist_ok=True)
    for variant in GPU_VARIANTS:
        write_config(folder / VARIANTS / f"{variant.name}.pbtxt", gpu_config(config, variant))
    if DESCRIPTOR_OUTPUT in {output.name for output in config.output}:
        write_config(folder / VARIANTS / f"{OPENVINO}.pbtxt", openvino_config(config))
    write_config(folder / CONFIG_FILE, config)


def write_config(path: Path, config: triton.ModelConfig) -> None:
    """Write a configuration in the text form that Triton reads, in one step; overwrites."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(HEADER + text_format.MessageToString(config), encoding="utf-8")
    scratch.replace(path)


def _image(dims: Sequence[int]) -> triton.ModelInput:
    return triton.ModelInput(name=IMAGE_INPUT, data_type=triton.TYPE_UINT8, dims=dims)


def _descriptor(name: str, dimension: int) -> triton.ModelOutput:
    return triton.ModelOutput(name=name, data_type=triton.TYPE_FP32, dims=[dimension])


def _fingerprint(name: str) -> triton.ModelOutput:
    return triton.ModelOutput(name=name, data_type=triton.TYPE_INT32, dims=[FINGERPRINT_WORDS])


def _warmup(batch_size: int, dims: Sequence[int]) -> triton.ModelWarmup:
    """Black images to run before the model is ready, so that no caller waits for first times."""
    image = triton.ModelWarmup.Input(data_type=triton.TYPE_UINT8, dims=dims, zero_data=True)
    return triton.ModelWarmup(
        name=f"batch_of_{batch_size}", batch_size=batch_size, inputs={IMAGE_INPUT: image}
    )
