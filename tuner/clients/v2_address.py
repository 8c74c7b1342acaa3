"""Where the control plane of a V2 server is reached, as a value that can be handed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.clients.v2 import V2Control
from tuner.clients.v2_http import V2Client
from tuner.load.profile import Endpoint
from tuner.protocols.v2 import V2Protocol


@dataclass(frozen=True)
class V2Address:
    """An endpoint, the protocol that is spoken there, and the headers that each request needs."""

    endpoint: Endpoint
    protocol: V2Protocol = V2Protocol.HTTP
    headers: Mapping[str, str] = field(default_factory=dict)

    def control(self) -> V2Control:
        """A client of the server there.

        Raises:
            InputError, LoadError: The endpoint's TLS settings cannot be used.
        """
        if self.protocol is V2Protocol.HTTP:
            return V2Client(self.endpoint, headers=self.headers)
        # gRPC is slow to import, and not everybody speaks it.
        from tuner.clients.v2_grpc import V2GrpcClient

        return V2GrpcClient(self.endpoint, headers=self.headers)
