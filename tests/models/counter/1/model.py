"""Counts the steps of each sequence."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.steps = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        start, end, number = (
            int(pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0])
            for name in ("START", "END", "ID")
        )
        self.steps[number] = 1 if start else self.steps[number] + 1
        state = np.array([number, start, end, self.steps[number]], dtype=np.uint64)
        return pb_utils.InferenceResponse([pb_utils.Tensor("state", state)])
