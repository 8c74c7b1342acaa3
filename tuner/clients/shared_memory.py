"""Hands the tensors of requests to a server on the same machine in shared memory.

Triton's protocol/extension_shared_memory.md: a region is registered once by its name, and each
request then names, for each tensor, the region and the place in it. Whatever happens to the tuner,
the server forgets the regions and their memory is given back.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from time import monotonic, sleep
from typing import Self

from tuner.clients.cuda_memory import CudaRegion
from tuner.clients.keeper import Keeper
from tuner.clients.memory_region import (
    Layout,
    SharedMemoryRegion,
    existing_regions,
    is_abandoned,
    lay_out,
    new_name,
    unlink,
)
from tuner.clients.v2 import NotOffered, V2Control
from tuner.clients.v2_address import V2Address
from tuner.errors import InputError, ServerError, ServerTimeoutError, TunerError
from tuner.load.profile import Endpoint
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.v2 import MemoryKind

# Bytes for an output whose size is not known: perf_analyzer's `--output-shared-memory-size`.
OUTPUT_BYTE_SIZE = 102_400

# How long a server may use a region after its last answer, and how often it is asked meanwhile, in
# seconds.
_IN_USE_S = 1.0
_ASK_EVERY_S = 0.02


class SharedMemory:
    """Shared memory of a server within a `with` block, with the inputs in it.

    `requests` has, for each of `inputs` in their order, its tensors as they lie there and the
    outputs as they go there; `outputs` gives the bytes that each output may take. A request that
    is in flight several times at once writes its outputs over each other.

    The block leaves nothing behind, neither on the server nor on the machine, also when it ends
    with an error or this process is killed: a keeper sees to that. What dead tuners left
    nevertheless is removed at the start.

    Raises:
        InputError: The server is on another machine or does not offer such memory, or CUDA or a
            GPU is missing.
        LoadError: The machine has too little shared memory.
        ServerError: The server refuses the memory, or does not answer.
    """

    def __init__(
        self,
        address: V2Address,
        inputs: Sequence[Sequence[Tensor]],
        outputs: Mapping[str, int],
        *,
        kind: MemoryKind = MemoryKind.SYSTEM,
    ) -> None:
        self._address = address
        self._inputs = inputs
        self._kind = kind
        sizes = [
            [(TensorSpec(t.name, t.datatype, t.shape), len(t.data)) for t in r] for r in inputs
        ]
        rooms = [(TensorSpec(name, "", ()), byte_size) for name, byte_size in outputs.items()]
        input_layout = lay_out(new_name("input"), sizes)
        output_layout = lay_out(new_name("output"), [rooms] * len(inputs))
        self._layouts = input_layout, output_layout
        self._names = input_layout.region, output_layout.region
        self.requests = tuple(zip(input_layout.requests, output_layout.requests, strict=True))

    def __enter__(self) -> Self:
        _check_nearness(self._address.endpoint, self._kind)
        with ExitStack() as stack:
            control = stack.enter_context(self._address.control())
            _sweep(control, self._kind)
            clean_up = partial(_clean_up, self._address, self._kind, self._names)
            keeper = stack.enter_context(Keeper(clean_up))
            regions = [self._region(layout) for layout in self._layouts]
            for region in regions:
                stack.enter_context(region)
            stack.callback(self._forget, control, keeper)
            regions[0].write(_content(self._layouts[0], self._inputs))
            for region in regions:
                _share(region, control)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _region(self, layout: Layout) -> SharedMemoryRegion | CudaRegion:
        if self._kind is MemoryKind.SYSTEM:
            return SharedMemoryRegion(layout.region, layout.byte_size)
        return CudaRegion(layout.region, layout.byte_size)

    def _forget(self, control: V2Control, keeper: Keeper) -> None:
        """Undo what the server was told; where that fails, the keeper will try once more."""
        with suppress(ServerError):
            for name in self._names:
                control.forget_memory(self._kind, name)
            keeper.dismiss()


def _check_nearness(endpoint: Endpoint, kind: MemoryKind) -> None:
    if endpoint.unix_socket is None and not _is_this_machine(endpoint.host):
        raise InputError(
            f"`--shared-memory {kind}` needs a server on this machine, but `{endpoint.host}` "
            "is another one",
            hint="run the tuner beside the server, or leave `--shared-memory` out",
        )


def _is_this_machine(host: str) -> bool:
    """Only an address of this machine can be listened on."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.bind(address)
    except OSError:
        return False
    return True


def _sweep(control: V2Control, kind: MemoryKind) -> None:
    """Remove what tuners left that are gone."""
    try:
        shared = control.shared_memory(kind)
    except NotOffered as error:
        raise InputError(
            f"`--shared-memory {kind}` needs a server that offers it: {error}",
            hint="Triton does; leave `--shared-memory` out for other servers",
        ) from None
    for name in filter(is_abandoned, {*shared, *existing_regions()}):
        unlink(name)
        if name in shared:
            control.forget_memory(kind, name)


def _share(region: SharedMemoryRegion | CudaRegion, control: V2Control) -> None:
    try:
        region.share(control)
    except ServerError as error:
        error.hint = error.hint or (
            "the server must see this machine's shared memory: the same user, and in a container "
            "`--ipc=host`"
        )
        raise


def _clean_up(address: V2Address, kind: MemoryKind, names: Sequence[str]) -> None:
    """What the keeper does, whether or not the server still lives."""
    for name in names:  # first of all: nothing can be shared from now on
        unlink(name)
    with suppress(TunerError), address.control() as control:
        for name in names:
            _forget_when_unused(control, kind, name)


def _forget_when_unused(control: V2Control, kind: MemoryKind, name: str) -> None:
    """A server still uses a region for a moment after its last answer (Triton refuses then)."""
    give_up_s = monotonic() + _IN_USE_S
    while True:
        try:
            control.forget_memory(kind, name)
        except ServerTimeoutError:
            raise
        except ServerError:
            if monotonic() > give_up_s:
                raise
            sleep(_ASK_EVERY_S)
        else:
            return


def _content(layout: Layout, requests: Sequence[Sequence[Tensor]]) -> bytes:
    content = bytearray(layout.byte_size)
    for places, tensors in zip(layout.requests, requests, strict=True):
        for at, tensor in zip(places, tensors, strict=True):
            content[at.offset : at.offset + at.byte_size] = tensor.data
    return bytes(content)
