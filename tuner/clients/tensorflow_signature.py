"""What a model of TensorFlow Serving takes and gives, as its metadata say.

Sources: "RESTful API" of its manual (model metadata); the field numbers of
tensorflow_serving/apis/get_model_metadata.proto and tensorflow/core/protobuf/meta_graph.proto.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tuner.errors import ServerError
from tuner.load.requests import TensorSpec
from tuner.protocols import tensorflow_serving
from tuner.protocols.protobuf import Message

DEFAULT_SIGNATURE = "serving_default"


class Signature(NamedTuple):
    """Inputs and outputs; their shapes include the batch dimension, if there is one."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """Whether the first dimension of every input is that of a batch."""
        return all(spec.shape[:1] == (-1,) for spec in self.inputs)


def of_rest(metadata: Any, name: str = DEFAULT_SIGNATURE) -> Signature:
    """The signature `name` in the JSON of `GET /v1/models/MODEL/metadata`.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It is not there; see `understood`.
    """
    signature = metadata["metadata"]["signature_def"]["signature_def"][name]
    return Signature(_rest_specs(signature["inputs"]), _rest_specs(signature["outputs"]))


def of_grpc(answer: bytes, name: str = DEFAULT_SIGNATURE) -> Signature:
    """The signature `name` in a GetModelMetadataResponse.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It is not there; see `understood`.
    """
    # A map of Any: the value of the Any is a SignatureDefMap, a map of SignatureDef.
    signatures = Message(Message(Message(answer).entries(2)["signature_def"]).content(2))
    signature = Message(signatures.entries(1)[name])
    return Signature(_grpc_specs(signature.entries(1)), _grpc_specs(signature.entries(2)))


@contextmanager
def understood(source: str, hint: str) -> Iterator[None]:
    """What goes wrong while the answer of `source` is read is the server's fault.

    Raises:
        ServerError: The answer is none of metadata, or tells nothing of what is sought; then
            `hint` says what to do.
    """
    try:
        yield
    except KeyError as error:
        raise ServerError(f"{source} tells nothing of {error}", hint=hint) from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ServerError(
            f"the answer of {source} is no model metadata: {error}",
            hint="check that TensorFlow Serving listens there",
        ) from None


def _rest_specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name,
            tensorflow_serving.datatype_named(tensor["dtype"]),
            tuple(int(each["size"]) for each in tensor["tensor_shape"]["dim"]),
        )
        for name, tensor in sorted(tensors.items())
    )


def _grpc_specs(tensors: Mapping[str, memoryview]) -> tuple[TensorSpec, ...]:
    """TensorInfos: dtype is field 2, the shape field 3."""
    infos = {name: Message(content) for name, content in sorted(tensors.items())}
    return tuple(
        TensorSpec(
            name,
            tensorflow_serving.datatype_numbered(info.integer(2)),
            tuple(_signed(each.integer(1)) for each in info.message(3).messages(2)),
        )
        for name, info in infos.items()
    )


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
