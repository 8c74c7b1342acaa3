"""A text is JSON with token numbers below 50, as {"ids": [3, 7]}: anything else is an error."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

VOCABULARY = 50


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().ravel()
        factor = pb_utils.get_input_tensor_by_name(request, "FACTOR")
        factors = [1] * len(texts) if factor is None else factor.as_numpy().ravel()
        try:
            sums = [total(text) * factor for text, factor in zip(texts, factors, strict=True)]
        except ValueError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        output = pb_utils.Tensor("SUM", np.array(sums, dtype=np.int32).reshape(-1, 1))
        return pb_utils.InferenceResponse([output])


def total(text):
    ids = json.loads(text)["ids"]
    if not all(0 <= each < VOCABULARY for each in ids):
        raise ValueError(f"a token number is not below {VOCABULARY}")
    return sum(ids)
