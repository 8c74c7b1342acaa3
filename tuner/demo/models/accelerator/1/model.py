"""An accelerator in miniature: one device for all instances, a fixed cost for each call.

A batch of n holds the device for FIXED_S + n * EACH_S seconds of sleep, so no processor time is
needed and the capacity follows from these two numbers alone.
"""

import fcntl
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

FIXED_S, EACH_S = 0.016, 0.001


class TritonPythonModel:
    def initialize(self, args):
        # Instances are processes: the lock of a file is what they have in common.
        folder = Path(args["model_repository"]) / args["model_version"]
        self.device = (folder / "device.lock").open("w")

    def execute(self, requests):
        fcntl.flock(self.device, fcntl.LOCK_EX)
        try:
            began = time.monotonic()
            inputs = [pb_utils.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
            responses = [
                pb_utils.InferenceResponse([pb_utils.Tensor("y", np.float32(2) * x)])
                for x in inputs
            ]
            # What this process does itself is part of the time that the device is held.
            held_s = FIXED_S + sum(len(x) for x in inputs) * EACH_S
            time.sleep(max(0.0, began + held_s - time.monotonic()))
        finally:
            fcntl.flock(self.device, fcntl.LOCK_UN)
        return responses
