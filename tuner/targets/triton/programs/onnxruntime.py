"""An ONNX file (model.onnx) in Triton's Python backend, as its ONNX Runtime backend serves it.

It heeds the parameters of that backend (onnxruntime_backend README, "Model Config Options" and
"Optimization"), and says at the level INFO what the session was made with.
"""

import os
from pathlib import Path

import onnxruntime
from whole_batches import WholeBatches

_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    0: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_MODES = {
    "0": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
    "1": onnxruntime.ExecutionMode.ORT_PARALLEL,
}


class TritonPythonModel(WholeBatches):
    def load(self, args, config, parameters):
        providers = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            device = {"device_id": args["model_instance_device_id"]}
            providers.insert(0, ("CUDAExecutionProvider", device))
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(
            str(file), self.options(config, parameters), providers=providers
        )

    def options(self, config, parameters):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(
            parameters.get("intra_op_thread_count") or os.environ.get("OMP_NUM_THREADS") or 0
        )
        options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
        options.execution_mode = _MODES[parameters.get("execution_mode", "0")]
        options.enable_cpu_mem_arena = parameters.get("enable_mem_arena", "1") == "1"
        options.enable_mem_pattern = parameters.get("enable_mem_pattern", "1") == "1"
        level = config.get("optimization", {}).get("graph", {}).get("level", 0)
        options.graph_optimization_level = _LEVELS[level]
        made_with = {
            "intra_op_thread_count": options.intra_op_num_threads,
            "inter_op_thread_count": options.inter_op_num_threads,
            "execution_mode": int(options.execution_mode == _MODES["1"]),
            "enable_mem_arena": int(options.enable_cpu_mem_arena),
            "enable_mem_pattern": int(options.enable_mem_pattern),
        }
        for name, value in made_with.items():
            self.say(f"{name} is {value}")
        return options

    def infer(self, arrays):
        return self.session.run(self.outputs, dict(zip(self.inputs, arrays, strict=True)))
