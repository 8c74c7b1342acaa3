"""Gives each input back, and the request's parameters as JSON."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        outputs = [
            pb_utils.Tensor(each.name().replace("in_", "out_"), each.as_numpy())
            for each in request.inputs()
        ]
        parameters = np.array([request.parameters()], dtype=np.object_)
        outputs.append(pb_utils.Tensor("parameters", parameters))
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse([each for each in outputs if each.name() in wanted])
