"""``config.pbtxt`` of every model, made as Triton's own protobuf rather than as text."""

from __future__ import annotations

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from retrieval_server.model_repository import DESCRIPTOR_OUTPUT, IMAGE_INPUT
from retrieval_server.profile import Backbone, Profile

MAX_BATCH_SIZE = 8  # images; larger batches are slower per image on a CPU
MAX_QUEUE_DELAY_US = 2_000  # how long a request waits for others to share its batch


def backbone_config(backbone: Backbone, side: int, dimension: int) -> triton.ModelConfig:
    """Configure one backbone: image (B, S, S, 3) uint8 → descriptor (B, C) float32.

    ``instance_group`` has no kind, so that the same file runs on a CPU and on a GPU.

    Args:
        backbone: which model.
        side: S, height and width in pixels.
        dimension: C, length of a descriptor.
    """
    return triton.ModelConfig(
        name=backbone.model,
        backend="onnxruntime",
        max_batch_size=MAX_BATCH_SIZE,
        input=[_image(side)],
        output=[_descriptor(DESCRIPTOR_OUTPUT, dimension)],
        instance_group=[triton.ModelInstanceGroup(count=1)],
        dynamic_batching=triton.ModelDynamicBatching(
            max_queue_delay_microseconds=MAX_QUEUE_DELAY_US
        ),
    )


def ensemble_config(profile: Profile, dimensions: dict[str, int]) -> triton.ModelConfig:
    """Configure a profile's ensemble: one image in, one descriptor out for each backbone.

    Args:
        profile: which backbones, in which order.
        dimensions: length of a descriptor by model name.
    """
    steps = [
        triton.ModelEnsembling.Step(
            model_name=model,
            model_version=-1,
            input_map={IMAGE_INPUT: IMAGE_INPUT},
            output_map={DESCRIPTOR_OUTPUT: model},
        )
        for model in profile.models
    ]
    return triton.ModelConfig(
        name=profile.name,
        platform="ensemble",
        max_batch_size=MAX_BATCH_SIZE,
        input=[_image(profile.side)],
        output=[_descriptor(model, dimensions[model]) for model in profile.models],
        ensemble_scheduling=triton.ModelEnsembling(step=steps),
    )


def config_text(config: triton.ModelConfig) -> str:
    """Write a configuration in the text form that Triton reads."""
    header = "# Written by `beauty-export onnx`; change export/model_configs.py instead.\n"
    return header + text_format.MessageToString(config)


def _image(side: int) -> triton.ModelInput:
    return triton.ModelInput(name=IMAGE_INPUT, data_type=triton.TYPE_UINT8, dims=[side, side, 3])


def _descriptor(name: str, dimension: int) -> triton.ModelOutput:
    return triton.ModelOutput(name=name, data_type=triton.TYPE_FP32, dims=[dimension])
