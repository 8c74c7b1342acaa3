"""A fuzzing process: `python -m benchmarks.fuzz_process TARGET FOLDER LIBFUZZER_FLAGS...`.

FOLDER gets the seeds of the target, and what the fuzzer adds to them.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    program, target, folder, *flags = sys.argv
    # No dependency of this project: no types, and no import before it is known to be there.
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["tuner.load", "hpack"]):
        from benchmarks import fuzz_targets
    for number, seed in enumerate(fuzz_targets.SEEDS[target]()):
        (Path(folder) / f"seed-{number}").write_bytes(seed)
    atheris.Setup([program, folder, *flags], fuzz_targets.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
