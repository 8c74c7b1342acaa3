"""The load engine: sends prepared requests to one endpoint and says what came back, and when."""

from tuner.load.client import LoadEngine
from tuner.load.measurement import Histogram, Measurement, percentile
from tuner.load.profile import Arrivals, ClosedLoop, Endpoint, LoadProfile, OpenLoop, Overload
from tuner.load.requests import RequestSet, Tensor, TensorSpec, generate_inputs

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
    "RequestSet",
    "Tensor",
    "TensorSpec",
    "generate_inputs",
    "percentile",
]
