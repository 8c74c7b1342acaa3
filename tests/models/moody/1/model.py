"""A model with moods: twice its input when it is good, and every misbehaviour when it is not.

The environment variable MOOD says which. A mood that needs a load begins once the instance has
answered AFTER requests.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

AFTER = 20
WORK_S = 0.001
FOR_LONG_S = 600


class TritonPythonModel:
    def initialize(self, args):
        self.mood = os.environ.get("MOOD", "good")
        self.answered = 0
        folder = Path(args["model_repository"])
        (folder / "loaded").touch()  # some models do write beside themselves
        self.ended = folder / "ended"
        match self.mood:
            case "raises at load":
                raise RuntimeError("the weights are missing")
            case "hangs at load":
                time.sleep(FOR_LONG_S)
            case "crashes the server at load":
                os.kill(os.getppid(), signal.SIGSEGV)
                time.sleep(FOR_LONG_S)

    def execute(self, requests):
        time.sleep(WORK_S)
        self.answered += len(requests)
        if self.mood == "never answers well":
            return [refusal() for _ in requests]
        if self.answered > AFTER or (self.mood == "ends" and self.ended.exists()):
            self.misbehave()
        if self.mood == "refuses" and self.answered > AFTER:
            return [refusal() for _ in requests]
        return [self.answer(request, len(requests)) for request in requests]

    def misbehave(self):
        match self.mood:
            case "crashes the server":
                os.kill(os.getppid(), signal.SIGSEGV)
            case "takes all memory":  # as the kernel ends such a server
                os.kill(os.getppid(), signal.SIGKILL)
            case "ends":
                self.ended.touch()  # and so does every successor
                os._exit(3)
            case "hangs":
                time.sleep(FOR_LONG_S)

    def answer(self, request, count):
        y = np.float32(2) * pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        if self.mood == "gives NaN":
            y[0, 0] = np.nan
        if self.mood == "adds the batch":
            y += np.float32(count - 1)
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", y)])


def refusal():
    return pb_utils.InferenceResponse(error=pb_utils.TritonError("out of ideas"))
