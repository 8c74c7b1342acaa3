"""Pages of metrics as servers write them: Triton's and TorchServe's names, and every type."""

KINDS = """\
# TYPE requests_total counter
requests_total 1
# TYPE temperature gauge
temperature 1
# TYPE mystery untyped
mystery 1
untold 1
lonely_sum 1
# TYPE lonely_count counter
lonely_count 1
# TYPE size histogram
size_bucket{le="+Inf"} 1
size_sum 1
size_count 1
# TYPE wait summary
wait{quantile="0.5"} 1
wait_sum 1
wait_count 1
"""


def triton(
    *, success: float = 0, utilization: float = 0.0, power_w: float = 50.0, used: float = 1e9
) -> str:
    """Two GPUs, of which the second is always idle; `success` requests of 100 us in the queue."""
    return f"""\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="m",version="1"}} {success}
# HELP nv_inference_queue_summary_us Summary of inference queuing duration in microseconds
# TYPE nv_inference_queue_summary_us summary
nv_inference_queue_summary_us_count{{model="m",version="1"}} {success}
nv_inference_queue_summary_us_sum{{model="m",version="1"}} {100 * success}
nv_inference_queue_summary_us{{model="m",version="1",quantile="0.5"}} NaN
# HELP nv_inference_pending_request_count Instantaneous number of pending requests per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{model="m",version="1"}} {success / 10}
# HELP nv_gpu_utilization GPU utilization rate [0.0 - 1.0)
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{{gpu_uuid="GPU-a"}} {utilization}
nv_gpu_utilization{{gpu_uuid="GPU-b"}} 0
# HELP nv_gpu_memory_total_bytes GPU total memory, in bytes
# TYPE nv_gpu_memory_total_bytes gauge
nv_gpu_memory_total_bytes{{gpu_uuid="GPU-a"}} 85899345920
# HELP nv_gpu_memory_used_bytes GPU used memory, in bytes
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{{gpu_uuid="GPU-a"}} {used}
# HELP nv_gpu_power_usage GPU power usage in watts
# TYPE nv_gpu_power_usage gauge
nv_gpu_power_usage{{gpu_uuid="GPU-a"}} {power_w}
nv_gpu_power_usage{{gpu_uuid="GPU-b"}} NaN
"""


def torchserve(*, requests: float) -> str:
    """One GPU, known by its number; a counter that has counted nothing has no line."""
    host, model = 'Hostname="bench",', 'model_version="default",hostname="bench",'
    return f"""\
# HELP Requests5XX Torchserve prometheus counter metric with unit: Count
# TYPE Requests5XX counter
# HELP MemoryUsed Torchserve prometheus gauge metric with unit: Megabytes
# TYPE MemoryUsed gauge
MemoryUsed{{Level="Host",{host}}} 8245.62109375
# HELP GPUUtilization Torchserve prometheus gauge metric with unit: Percent
# TYPE GPUUtilization gauge
GPUUtilization{{Level="Host",DeviceId="0",{host}}} 75.0
# HELP GPUMemoryUsed Torchserve prometheus gauge metric with unit: Megabytes
# TYPE GPUMemoryUsed gauge
GPUMemoryUsed{{Level="Host",DeviceId="0",{host}}} 1024.0
# HELP ts_inference_requests_total Torchserve prometheus counter metric with unit: Count
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{{model_name="resnet18",{model}}} {requests}
"""
