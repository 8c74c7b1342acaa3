"""A TorchScript file (model.pt) in Triton's Python backend, as its PyTorch backend serves it.

It heeds the parameters of that backend, and says so in the same words, at the level INFO
(pytorch_backend, src/pt/model_state.cc and model_instance_state.cc).
"""

from pathlib import Path

import torch
from whole_batches import WholeBatches

_SWITCHES = {
    "ENABLE_JIT_EXECUTOR": ("Jit executor", torch._C._jit_set_profiling_executor),
    "ENABLE_JIT_PROFILING": ("Jit profiling", torch._C._jit_set_profiling_mode),
    "ENABLE_TENSOR_FUSER": ("Tensor fuser", torch._C._jit_set_texpr_fuser_enabled),
}


class TritonPythonModel(WholeBatches):
    def load(self, args, config, parameters):
        self.heed(parameters)
        on_gpu = args["model_instance_kind"] == "GPU"
        self.device = torch.device(f"cuda:{args['model_instance_device_id']}" if on_gpu else "cpu")
        file = Path(args["model_repository"]) / args["model_version"] / "model.pt"
        self.module = torch.jit.load(str(file), map_location=self.device).eval()

    def heed(self, parameters):
        for name, (words, switch) in _SWITCHES.items():
            if name in parameters:
                switch(parameters[name] == "true")
                self.tell(words, on=parameters[name] == "true")
        self.inference_mode = parameters.get("INFERENCE_MODE", "true") == "true"
        self.tell("Inference Mode", on=self.inference_mode)
        self.optimized = parameters.get("DISABLE_OPTIMIZED_EXECUTION") != "true"
        self.tell("Optimized execution", on=self.optimized)
        torch.backends.cudnn.enabled = parameters.get("DISABLE_CUDNN") != "true"
        self.tell("cuDNN", on=torch.backends.cudnn.enabled)
        if count := parameters.get("INTRA_OP_THREAD_COUNT"):
            torch.set_num_threads(int(count))
            self.say(f"Intra op thread count is set to {torch.get_num_threads()}")
        if count := parameters.get("INTER_OP_THREAD_COUNT"):
            torch.set_num_interop_threads(int(count))
            self.say(f"Inter op thread count is set to {torch.get_num_interop_threads()}")

    def tell(self, words, *, on):
        self.say(f"{words} is {'enabled' if on else 'disabled'}")

    def infer(self, arrays):
        torch._C._set_graph_executor_optimize(self.optimized)  # of this thread
        with torch.inference_mode(self.inference_mode), torch.no_grad():
            tensors = [self.tensor(each) for each in arrays]
            answer = self.module(*tensors)
        if isinstance(answer, torch.Tensor):
            answer = [answer]
        elif isinstance(answer, dict):
            answer = answer.values()
        return [each.cpu().numpy() for each in answer]

    def tensor(self, array):
        return torch.from_numpy(array if array.flags.writeable else array.copy()).to(self.device)
