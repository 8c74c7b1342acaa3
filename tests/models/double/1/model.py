"""Twice the numbers, and the strings as they are."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        numbers = pb_utils.get_input_tensor_by_name(request, "numbers").as_numpy()
        words = pb_utils.get_input_tensor_by_name(request, "words").as_numpy()
        outputs = [pb_utils.Tensor("doubled", 2 * numbers), pb_utils.Tensor("same", words)]
        return pb_utils.InferenceResponse(outputs)
