"""Records of runs that never took place, made by the recorder of the load engine."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuner.load.histogram import FloatArray
from tuner.load.measurement import RunRecord
from tuner.load.recorder import SUCCESS, Recorder


def run_record(
    due_s: FloatArray,
    done_s: FloatArray,
    outcomes: NDArray[np.uint8],
    *,
    start_s: float = 0.0,
    end_s: float,
    sent_s: FloatArray | None = None,
    kinds: tuple[str, ...] = (),
) -> RunRecord:
    """`outcomes` are PENDING, SUCCESS or 2 + the position in `kinds`."""
    sent_s = due_s if sent_s is None else sent_s
    recorder = Recorder(open_loop=sent_s is not due_s)
    recorder.ends_at(end_s)
    counted = outcomes <= SUCCESS
    recorder.add_block(due_s[counted], sent_s[counted], done_s[counted], outcomes[counted])
    for index in np.flatnonzero(~counted):
        kind = kinds[outcomes[index] - 2]
        recorder.add_failure(due_s[index], sent_s[index], done_s[index], kind)
    record = recorder.record(start_s=start_s, end_s=end_s)
    return replace(record, engine_wall_s=end_s - start_s)
