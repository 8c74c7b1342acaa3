"""Programs that run in other processes than the tuner's own.

`pytorch` and `onnxruntime` are models for Triton's Python backend: each serves one model file,
and heeds the parameters of the backend of that name. `describe` tells the inputs and outputs of a
model file: what reads models takes hundreds of megabytes, and may crash on a damaged one.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
