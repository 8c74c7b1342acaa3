"""Answers after DELAY seconds, one request after the other."""

import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        delay_s = pb_utils.get_input_tensor_by_name(request, "DELAY").as_numpy()
        time.sleep(delay_s.item())
        return pb_utils.InferenceResponse([pb_utils.Tensor("SLEPT", delay_s)])
