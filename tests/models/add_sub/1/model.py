"""Two inputs, two outputs: OUTPUT0 is their difference, OUTPUT1 their sum."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        left = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
        right = pb_utils.get_input_tensor_by_name(request, "INPUT1").as_numpy()
        difference = pb_utils.Tensor("OUTPUT0", left - right)
        total = pb_utils.Tensor("OUTPUT1", left + right)
        return pb_utils.InferenceResponse([difference, total])
