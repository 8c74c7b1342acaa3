"""The load engine: sends prepared requests to one endpoint and says what came back, and when."""

from tuner.load.client import LoadEngine
from tuner.load.histogram import Histogram, percentile
from tuner.load.inputs import generate_inputs
from tuner.load.measurement import Measurement
from tuner.load.profile import (
    Arrivals,
    ClosedLoop,
    Endpoint,
    LoadProfile,
    OpenLoop,
    Overload,
    Ramp,
    Replay,
)
from tuner.load.requests import RequestSet, Tensor, TensorSpec

__all__ = [
    "Arrivals",
    "ClosedLoop",
    "Endpoint",
    "Histogram",
    "LoadEngine",
    "LoadProfile",
    "Measurement",
    "OpenLoop",
    "Overload",
    "Ramp",
    "Replay",
    "RequestSet",
    "Tensor",
    "TensorSpec",
    "generate_inputs",
    "percentile",
]
