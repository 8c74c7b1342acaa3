"""Answers as often as the input says; below 0 with an error after that many answers."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            times = int(pb_utils.get_input_tensor_by_name(request, "times").as_numpy()[0])
            sender = request.get_response_sender()
            for number in range(abs(times)):
                output = pb_utils.Tensor("number", np.array([number], dtype=np.int32))
                sender.send(pb_utils.InferenceResponse([output]))
            if times < 0:
                error = pb_utils.TritonError("out of numbers")
                sender.send(pb_utils.InferenceResponse(error=error))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
