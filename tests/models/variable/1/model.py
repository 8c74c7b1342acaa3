"""A matrix of any size; the output is the sum of its elements, for each of the batch."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        matrices = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
        sums = matrices.sum(axis=(1, 2), dtype=np.int32).reshape(-1, 1)
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", sums)])
