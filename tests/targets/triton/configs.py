"""Configurations as people write them: each a kind that public repositories have, told anew.

What they are made of (punctuation, fields, order) is what such files have; names, sizes and
numbers are of our own.
"""

# A classifier of images, whose runtime is to use TensorRT, on one of several GPUs.
CLASSIFIER = """
name: "m"
platform: "onnxruntime_onnx"
max_batch_size: 32
input [ { name: "pixels", data_type: TYPE_FP32, format: FORMAT_NCHW, dims: [ 3, 8, 8 ] } ]
output [ { name: "scores", data_type: TYPE_FP32, dims: [ 10 ] } ]
instance_group [ { count: 2, kind: KIND_GPU, gpus: [ 0 ] } ]
dynamic_batching { preferred_batch_size: [ 4, 8, 16, 32 ] max_queue_delay_microseconds: 100 }
optimization {
  graph { level: 1 }
  execution_accelerators {
    gpu_execution_accelerator : [ {
      name : "tensorrt"
      parameters { key: "precision_mode" value: "FP16" }
      parameters { key: "max_workspace_size_bytes" value: "1073741824" }
    } ]
  }
}
"""

# A detector with everything at once: policies, several warm-ups, caches of engines.
DETECTOR = """
name: "m"
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "images" data_type: TYPE_FP32 dims: [ 3, 4, 4 ] } ]
output [
  { name: "count" data_type: TYPE_INT32 dims: [ 1 ] reshape { shape: [ ] } },
  { name: "boxes" data_type: TYPE_FP32 dims: [ 5, 4 ] }
]
instance_group [
  { name: "first" count: 1 kind: KIND_GPU gpus: [ 0 ] },
  { name: "second" count: 1 kind: KIND_GPU gpus: [ 1 ] }
]
dynamic_batching {
  preferred_batch_size: [ 8, 16, 32, 64 ]
  max_queue_delay_microseconds: 250
  preserve_ordering: false
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 1000000
    allow_timeout_override: false
    max_queue_size: 256
  }
}
optimization {
  input_pinned_memory { enable: true }
  output_pinned_memory { enable: false }
  execution_accelerators { gpu_execution_accelerator {
    name: "tensorrt"
    parameters { key: "trt_engine_cache_enable", value: "1" }
    parameters { key: "trt_engine_cache_path", value: "/cache/engines" }
  } }
}
model_warmup [
  { name: "one", batch_size: 1, count: 3,
    inputs { key: "images"
      value { data_type: TYPE_FP32, dims: [ 3, 4, 4 ], random_data: true } } },
  { name: "full", batch_size: 64,
    inputs { key: "images" value { data_type: TYPE_FP32, dims: [ 3, 4, 4 ], zero_data: true } } }
]
"""

# A frozen graph of older days: a file of its own name, images as they come, nested reshapes.
FROZEN_GRAPH = """
name: "m"
platform: "tensorflow_graphdef"
default_model_filename: "frozen.pb"
max_batch_size: 128
input [ { name: "image" data_type: TYPE_UINT8 format: FORMAT_NHWC dims: [ 4, 4, 3 ] } ]
output [
  { name: "classes" data_type: TYPE_FP32 dims: [ 100 ] reshape { shape: [ 10, 10 ] } },
  { name: "found" data_type: TYPE_FP32 dims: [ 1 ] reshape { shape: [] } }
]
version_policy: { specific { versions: [ 1 ] } }
"""

# A language model that streams tokens: decoupled, ragged, most inputs optional.
LANGUAGE_MODEL = """
name: "m"
backend: "tensorrtllm"
max_batch_size: 16
model_transaction_policy { decoupled: true }
dynamic_batching {
  preferred_batch_size: [ 1, 2, 16 ]
  max_queue_delay_microseconds: 100
  default_queue_policy: { max_queue_size: 8 }
}
input [
  { name: "tokens", data_type: TYPE_INT32, dims: [ -1 ], allow_ragged_batch: true },
  { name: "length", data_type: TYPE_INT32, dims: [ 1 ], reshape: { shape: [ ] } },
  { name: "stop_words", data_type: TYPE_INT32, dims: [ 2, -1 ], optional: true,
    allow_ragged_batch: true },
  { name: "streaming", data_type: TYPE_BOOL, dims: [ 1 ], reshape: { shape: [ ] },
    optional: true }
]
output [ { name: "answer" data_type: TYPE_INT32 dims: [ -1, -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters: { key: "max_beam_width" value: { string_value: "1" } }
parameters: { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value: { string_value: "no" } }
parameters: { key: "engine_dir" value: { string_value: "${engine_dir}" } }
parameters: { key: "empty" value: { string_value: "" } }
"""

# A generator whose batches are joined without padding: Triton tells it the shapes.
RAGGED = """
name: "m"
backend: "transformer"
default_model_filename: "generator"
max_batch_size: 8
model_transaction_policy { decoupled: False }
batch_input [ {
  kind: BATCH_ITEM_SHAPE
  target_name: "shapes"
  data_type: TYPE_INT32
  source_input: "ids"
} ]
input [ { name: "ids" data_type: TYPE_UINT32 dims: [ -1 ] allow_ragged_batch: true } ]
output [ { name: "ids_out" data_type: TYPE_UINT32 dims: [ -1, -1 ] } ]
dynamic_batching { }
parameters { key: "tensor_para_size" value: { string_value: "1" } }
"""

# Speech that comes in pieces: sequences with a state that Triton keeps.
SPEECH = """
name: "m"
backend: "onnxruntime"
max_batch_size: 16
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  oldest { max_candidate_sequences: 64 preferred_batch_size: [ 4, 8 ]
    max_queue_delay_microseconds: 1000 }
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [ { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] } ] },
    { name: "CORRID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
  ]
  state [ { input_name: "cache_in" output_name: "cache_out" data_type: TYPE_FP32 dims: [ 6 ]
    initial_state: { name: "silence" data_type: TYPE_FP32 dims: [ 6 ] zero_data: true } } ]
}
input [ { name: "audio" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "words" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""

# A counter for each client, which has an instance's slot for itself.
COUNTER = """
name: "m"
platform: "custom"
backend: "sequence"
max_batch_size: 4
sequence_batching {
  direct { max_queue_delay_microseconds: 200, minimum_slot_utilization: 0.5 }
  max_sequence_idle_microseconds: 5000000
  control_input [
    { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
    { name: "READY" control [ { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 0, 1 ] } ] }
  ]
}
input [ { name: "number" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "sum" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""

# A tokenizer in Python, with libraries of its own, in front of something else.
TOKENIZER = """
name: "m"
backend: "python"
max_batch_size: 0
input [ { name: "text" data_type: TYPE_STRING dims: [ -1 ] } ]
output [
  { name: "ids" data_type: TYPE_INT64 dims: [ -1, -1 ] },
  { name: "mask" data_type: TYPE_INT64 dims: [ -1, -1 ] }
]
instance_group [ { count: 2 kind: KIND_CPU } ]
parameters: {
  key: "vocabulary",
  value: { string_value: "$$TRITON_MODEL_DIRECTORY/vocabulary.tar.gz" }
}
metric_tags { key: "team" value: "search" }
"""

# A ranking of features on processors: large batches, a queue that ends, priorities, a cache.
RANKING = """
# scores of candidates, à peu près
name: "m"
backend: "fil"
max_batch_size: 32768
input [ { name: "features" data_type: TYPE_FP32 dims: [ 50 ] } ]
output [ { name: "score" data_type: TYPE_FP32 dims: [ 1 ] label_filename: "labels.txt" } ]
instance_group [
  { count: 1 kind: KIND_CPU
    rate_limiter { resources [ { name: "R1" count: 4 }, { name: "R2" global: true count: 2 } ]
      priority: 2 } }
]
dynamic_batching {
  max_queue_delay_microseconds: 200
  priority_levels: 2
  default_priority_level: 2
  priority_queue_policy { key: 1 value { timeout_action: DELAY max_queue_size: 16 } }
}
version_policy { latest { num_versions: 2 } }
response_cache { enable: true }
parameters [
  { key: "model_type" value: { string_value: "xgboost" } },
  { key: "threshold" value: { string_value: "0.5" } }
]
"""

# A voice that is made of text, in TorchScript, with the optimising executor off.
VOICE = """
name: "m"
platform: "pytorch_libtorch"
default_model_filename: "voice.pt"
max_batch_size: 1
input [
  { name: "INPUT__0" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "INPUT__1" data_type: TYPE_FP32 dims: [ 1 ] optional: true }
]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_GPU } ]
optimization { priority: PRIORITY_MAX cuda { busy_wait_events: true graphs: false } }
parameters: { key: "DISABLE_OPTIMIZED_EXECUTION" value: { string_value: "true" } }
parameters: { key: "INFERENCE_MODE" value: { string_value: "false" } }
"""

CONFIGS = {
    "classifier": CLASSIFIER,
    "detector": DETECTOR,
    "frozen-graph": FROZEN_GRAPH,
    "language-model": LANGUAGE_MODEL,
    "ragged": RAGGED,
    "speech": SPEECH,
    "counter": COUNTER,
    "tokenizer": TOKENIZER,
    "ranking": RANKING,
    "voice": VOICE,
}

STUB = '''
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Zeros for every output, in the shape that the configuration says; one where it is open."""

    def initialize(self, args):
        self.config = json.loads(args["model_config"])
        policy = self.config.get("model_transaction_policy", {})
        self.decoupled = policy.get("decoupled", False)

    def execute(self, requests):
        if not self.decoupled:
            return [self.answer(request) for request in requests]
        for request in requests:
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            request.get_response_sender().send(self.answer(request), flags=final)
        return None

    def answer(self, request):
        shape = list(request.inputs()[0].shape())
        batch = shape[:1] if self.config["max_batch_size"] else []
        outputs = [self.zeros(each, batch) for each in self.config["output"]]
        return pb_utils.InferenceResponse(outputs)

    def zeros(self, output, batch):
        dims = output.get("reshape", {}).get("shape", output["dims"])
        shape = batch + [max(1, int(n)) for n in dims]
        kind = pb_utils.triton_string_to_numpy(output["data_type"])
        empty = np.full(shape, b"", object) if kind is np.object_ else np.zeros(shape, kind)
        return pb_utils.Tensor(output["name"], empty)
'''
