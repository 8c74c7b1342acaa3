"""Programs that measure what the documents claim; each is run with `python -m benchmarks.NAME`."""
