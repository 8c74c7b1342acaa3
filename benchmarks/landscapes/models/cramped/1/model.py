"""An accelerator with little memory: what would be fastest does not fit, and dies under load.

Each instance prepares its requests by itself and then needs the one device, so two or three
instances keep it busy where one cannot. Every instance takes WEIGHTS of the device's MEMORY at its
first inference, and EACH for every inference of the largest batch that it has met, as frameworks
that keep their workspaces do. What does not fit ends the process; an instance that is being
unloaded is given a moment to leave.
"""

import fcntl
import json
import os
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

PREPARE_S, FIXED_S, EACH_S = 0.001, 0.001, 0.0001
MEMORY, WEIGHTS, EACH = 16.0, 2.0, 0.125
PATIENCE_S, POLL_S = 2.0, 0.02


class TritonPythonModel:
    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"]
        self.device = (folder / "device.lock").open("w")
        self.memory = folder / "memory.json"
        self.largest = 0

    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        size = sum(len(x) for x in inputs)
        if size > self.largest and not self._claim(size):
            os._exit(1)
        self.largest = max(size, self.largest)
        time.sleep(PREPARE_S)
        with self._locked():
            began = time.monotonic()
            responses = [
                pb_utils.InferenceResponse([pb_utils.Tensor("y", np.float32(2) * x)])
                for x in inputs
            ]
            held_s = FIXED_S + size * EACH_S
            time.sleep(max(0.0, began + held_s - time.monotonic()))
        return responses

    def finalize(self):
        with self._locked():
            claims = self._claims()
            claims.pop(str(os.getpid()), None)
            self.memory.write_text(json.dumps(claims))
        self.device.close()

    def _claim(self, size):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with self._locked():
                if self._claimed(size):
                    return True
            time.sleep(POLL_S)
        return False

    def _claimed(self, size):
        """Whether the memory suffices for this batch size beside what living others hold."""
        claims = self._claims() | {str(os.getpid()): WEIGHTS + EACH * size}
        fits = sum(claims.values()) <= MEMORY
        if fits:
            self.memory.write_text(json.dumps(claims))
        return fits

    def _claims(self):
        try:
            claims = json.loads(self.memory.read_text())
        except FileNotFoundError:
            return {}
        return {pid: size for pid, size in claims.items() if Path("/proc", pid).exists()}

    def _locked(self):
        return _Locked(self.device)


class _Locked:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        fcntl.flock(self.file, fcntl.LOCK_UN)
