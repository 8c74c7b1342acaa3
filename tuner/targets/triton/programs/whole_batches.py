"""What models of Triton's Python backend share: the requests of a batch are inferred at once."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class WholeBatches:
    """`infer` of the model gets and gives arrays in the order of its configuration."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.name = args["model_instance_name"]
        self.batched = config["max_batch_size"] > 0
        self.inputs = [each["name"] for each in config["input"]]
        self.outputs = [each["name"] for each in config["output"]]
        self.load(
            args, config, {n: each["string_value"] for n, each in config["parameters"].items()}
        )

    def say(self, words):
        pb_utils.Logger.log_info(f"{words} for model instance '{self.name}'")

    def execute(self, requests):
        given = [
            [pb_utils.get_input_tensor_by_name(each, name).as_numpy() for name in self.inputs]
            for each in requests
        ]
        if not self.batched:
            return [self.response(self.infer(arrays)) for arrays in given]
        joined = [np.concatenate(arrays) for arrays in zip(*given, strict=True)]
        ends = np.cumsum([len(arrays[0]) for arrays in given])[:-1]
        parts = zip(*(np.split(each, ends) for each in self.infer(joined)), strict=True)
        return [self.response(arrays) for arrays in parts]

    def response(self, arrays):
        tensors = zip(self.outputs, arrays, strict=True)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, np.ascontiguousarray(each)) for name, each in tensors]
        )
