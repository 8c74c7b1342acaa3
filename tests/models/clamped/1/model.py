"""Twice its input, in batches of four at most: a larger one that is asked for is cut, silently."""

import numpy as np
import triton_python_backend_utils as pb_utils

LARGEST = 4


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        # `set_max_batch_size` refuses to make it smaller; what it writes to is this dictionary.
        completed = config.as_dict()
        completed["max_batch_size"] = min(completed["max_batch_size"], LARGEST)
        return config

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", np.float32(2) * x)])
