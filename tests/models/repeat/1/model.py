"""Decoupled: a request IN = n has n responses, OUT = 0 ... n - 1; none at all if n is 0."""

import numpy as np
import triton_python_backend_utils as pb_utils

MOST = 10_000  # a random number must not keep the server busy for hours


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            [count] = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            if count > MOST:
                sender.send(refusal(f"IN may be at most {MOST}, but is {count}"))
                count = 0
            for number in range(count):
                output = pb_utils.Tensor("OUT", np.array([number], dtype=np.int32))
                sender.send(pb_utils.InferenceResponse([output]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def refusal(message):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message))
