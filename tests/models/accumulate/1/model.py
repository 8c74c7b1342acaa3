"""Stateful: OUTPUT is the sum of the sequence's inputs so far, STEP how many they are.

A broken sequence is refused: a start of one that has not ended, and the steps that follow it. What
has no start at all, Triton refuses. The outputs show the order of the steps.
"""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.progress = {}  # the sum and the number of steps, by sequence

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        sequence, start = value(request, "CORRELATION_ID"), value(request, "START")
        if bool(start) == (sequence in self.progress):
            self.progress.pop(sequence, None)
            what = "was started again before its end" if start else "was not started"
            return refusal(f"sequence {sequence} {what}")
        total, step = self.progress.get(sequence, (0, 0))
        total, step = total + value(request, "INPUT"), step + 1
        self.progress[sequence] = total, step
        if value(request, "END"):
            del self.progress[sequence]
        return pb_utils.InferenceResponse([number("OUTPUT", total), number("STEP", step)])


def value(request, name):
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy().item()


def number(name, value):
    return pb_utils.Tensor(name, np.array([value], dtype=np.int64).astype(np.int32))


def refusal(message):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message))
