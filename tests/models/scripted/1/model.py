"""A TorchScript model that takes the parameters of Triton's PyTorch backend, for real.

It heeds what the backend heeds, and says so in the same words (pytorch_backend,
src/pt/model_state.cc). With the environment variable DEAF it heeds nothing, as a backend does that
does not know a parameter.
"""

import json
import os

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

_SWITCHES = {
    "ENABLE_JIT_EXECUTOR": ("Jit executor", torch._C._jit_set_profiling_executor),
    "ENABLE_JIT_PROFILING": ("Jit profiling", torch._C._jit_set_profiling_mode),
    "ENABLE_TENSOR_FUSER": ("Tensor fuser", torch._C._jit_set_texpr_fuser_enabled),
}


def layers(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    for _ in range(4):
        x = torch.tanh(x @ weight) * 0.5 + torch.sigmoid(x) * 0.25
    return x


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self.parameters = {name: each["string_value"] for name, each in parameters.items()}
        self.name = args["model_name"]
        self.inference_mode = True
        if not os.environ.get("DEAF"):
            self.heed()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn((64, 64), generator=generator) / 8
        self.layers = torch.jit.script(layers)

    def heed(self):
        for name, (words, switch) in _SWITCHES.items():
            if name in self.parameters:
                switch(self.parameters[name] == "true")
                self.tell(f"{words} is {self.on(name)}")
        self.inference_mode = self.parameters.get("INFERENCE_MODE", "true") == "true"
        self.tell(f"Inference Mode is {'enabled' if self.inference_mode else 'disabled'}")
        optimized = self.parameters.get("DISABLE_OPTIMIZED_EXECUTION") != "true"
        torch._C._set_graph_executor_optimize(optimized)
        self.tell(f"Optimized execution is {'enabled' if optimized else 'disabled'}")
        if count := self.parameters.get("INTRA_OP_THREAD_COUNT"):
            torch.set_num_threads(int(count))
            self.tell(f"Intra op thread count is set to {torch.get_num_threads()}")

    def on(self, name):
        return "enabled" if self.parameters[name] == "true" else "disabled"

    def tell(self, words):
        pb_utils.Logger.log_info(f"{words} for model instance '{self.name}'")

    def execute(self, requests):
        rows = [pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        with torch.inference_mode(self.inference_mode), torch.no_grad():
            answers = self.layers(torch.from_numpy(np.concatenate(rows)), self.weight).numpy()
        parts = np.split(answers, np.cumsum([len(each) for each in rows])[:-1])
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", np.ascontiguousarray(part))])
            for part in parts
        ]
