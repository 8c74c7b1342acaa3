"""Examples of the commands, for their help: by the class of their options.

A test runs each of them.
"""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "OptimizeOptions": (
        "tuner optimize --budget-ms 50",
        "tuner optimize model.onnx --budget-ms 20 --until 07:00",
        "tuner optimize --space server.yaml --budget-ms 200 --timeout 1h",
        "tuner optimize --budget-ms 50 --study night --until 07:00 --detach",
        "tuner optimize --budget-ms 50 --fleet auto --until 07:00",
        "tuner optimize --budget-ms 50 --service https://tuner.example --wait",
    ),
    "FleetStatusOptions": ("tuner fleet status", "tuner fleet status night"),
    "FleetDoctorOptions": ("tuner fleet doctor", "tuner fleet doctor --image tritonserver"),
    "ServeOptions": (
        "tuner serve",
        "tuner serve --models models --port 8900",
    ),
    "JobsOptions": ("tuner jobs night.yaml --until 07:00 --detach",),
    "ResumeOptions": ("tuner resume night --timeout 10m", "tuner resume night --detach"),
    "RetryOptions": ("tuner retry night --failed", "tuner retry night --reason start_timeout"),
    "StatusOptions": (
        "tuner status",
        "tuner status night --watch",
        "tuner status night --state failed",
    ),
    "AttachOptions": ("tuner attach night",),
    "PauseOptions": ("tuner pause night",),
    "ContinueOptions": ("tuner continue night",),
    "StopOptions": ("tuner stop night", "tuner stop night --now"),
    "PlanOptions": (
        "tuner plan --budget-ms 50",
        "tuner plan --space triton_all --budget-ms 20 --timeout 2h",
    ),
    "MeasureOptions": (
        "tuner measure http://127.0.0.1:8000 -m resnet50 --concurrency 1:16:5",
        "tuner measure grpc://127.0.0.1:8001 -m resnet50 --rate 200 --shape x:3,224,224",
        "tuner measure http://127.0.0.1:8000 --service-kind http --path /predict \\",
        "  --body request.json --json-path '$.label=\"cat\"'",
    ),
    "ReportOptions": (
        "tuner report",
        "tuner report night --output reports",
        "tuner report night --format md",
    ),
    "ParetoOptions": ("tuner pareto night --json",),
    "BestOptions": (
        "tuner best > config.pbtxt",
        "tuner best --budget-ms 50",
        "tuner best --tiers 'p99<=20,p99<=50,p95<=10'",
        "tuner best --objective latency --min-throughput 10 --format yaml",
        "tuner best night --format docker-run --image tritonserver",
    ),
    "RunOptions": (
        "tuner run night",
        "tuner run night --trial 3 --env OMP_NUM_THREADS=2 --port http=8000",
        "tuner run night --profile",
    ),
    "CapacityOptions": (
        "tuner capacity --demand 1200 --headroom 20% --spare 1 --price 0.53/h",
        "tuner capacity night --demand 1200 --budget-ms 40 --budget-ms 80 --explain",
        "tuner capacity night --demand-file day.csv --price 0.53/h",
    ),
    "CompareOptions": ("tuner compare night earlier",),
    "RepositoryOptions": (
        "tuner repository model.onnx --output models",
        "tuner repository model.pt --input x:FP32:-1,32 --output others",
    ),
    "EffectsOptions": ("tuner effects --format csv",),
    "HintsOptions": (
        "tuner hints night",
        "tuner hints --server triton",
    ),
    "HardwareOptions": ("tuner hardware",),
    "CheckOptions": (
        "tuner check night",
        "tuner check night --image server:2 --junit check.xml",
    ),
    "DoctorOptions": ("tuner doctor",),
    "CleanOptions": ("tuner clean",),
    "ListOptions": ("tuner studies list --db studies.db",),
    "BackupOptions": ("tuner studies backup copy.db",),
    "ShowOptions": ("tuner studies show night",),
    "ExportOptions": (
        "tuner studies export --format csv --output points.csv",
        "tuner studies export night --table trials --format json",
    ),
    "ListSpacesOptions": ("tuner spaces list",),
    "ShowSpaceOptions": ("tuner spaces show triton",),
    "CheckSpaceOptions": ("tuner spaces check server.yaml",),
    "SpaceTableOptions": ("tuner spaces table triton triton_all",),
    "AddTokenOptions": (
        "tuner tokens add me --role admin --token-file tokens",
        "tuner tokens add nightly --role run --token-file tokens --expires 90d",
    ),
    "ListTokensOptions": ("tuner tokens list --token-file tokens",),
    "RemoveTokenOptions": ("tuner tokens remove ci --token-file tokens",),
}
