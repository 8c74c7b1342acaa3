"""What keeps a configuration from carrying more, in sentences."""

import math

from tuner.analysis.bottleneck import Bottleneck, Diagnosis, LatencySplit
from tuner.report import formats

_TITLES = {
    Bottleneck.QUEUE: "the wait in its queue",
    Bottleneck.COMPUTE: "compute",
    Bottleneck.FRONT_END: "the server's front end, or the network",
    Bottleneck.CLIENT: "the load engine, not the server",
}
# The GPU is not among what is stored of a load point.
_OF_GPUS = "The load of the GPU is not stored: if it is full, what waits waits for it."
_ADVICE = {
    Bottleneck.QUEUE: (
        "Requests wait for a free instance, or for their batch to fill: more instances, larger "
        "batches or a shorter delay may carry more."
    ),
    Bottleneck.COMPUTE: "A faster model, or more of the hardware that it runs on, carries more.",
    Bottleneck.FRONT_END: (
        "Requests spend most of their time outside of queue and model: binary tensors in place of "
        "JSON, gRPC, or more threads that receive may carry more."
    ),
    Bottleneck.CLIENT: (
        "The server may carry more than was measured: give the load engine processors of its own "
        "with `--engine-cpus`."
    ),
}


def title(found: Diagnosis) -> str:
    """The bottleneck in one sentence."""
    if found.bottleneck is Bottleneck.UNKNOWN:
        return "What limits the best configuration is unknown"
    computes = found.bottleneck is Bottleneck.COMPUTE
    full = ", as the processors are full" if computes and found.processors_full else ""
    return f"What limits the best configuration: {_TITLES[found.bottleneck]}{full}"


def sentences(
    found: Diagnosis, *, gpus: bool = False, preemptions: int | None = None
) -> tuple[str, ...]:
    """How that is known, and what would help; `gpus` says whether the server has some.

    `preemptions` are those that the server counted, None where it does not.
    """
    queues = found.bottleneck is Bottleneck.QUEUE
    said = (
        _about_preemptions(preemptions),
        _about_split(found.split),
        _about_processors(found),
        _about_engine(found),
        _ADVICE.get(found.bottleneck, ""),
        _OF_GPUS if queues and gpus else "",
    )
    return tuple(filter(None, said))


def _about_preemptions(count: int | None) -> str:
    if not count:
        return ""
    return (
        f"The server put requests back {count:,} times, as its cache of keys and values was full: "
        "what it had computed for them, it computed again. Fewer requests at once, or more memory "
        "for that cache, avoid it."
    )


def _about_split(split: LatencySplit | None) -> str:
    if split is None:
        return (
            "No statistics of the server were stored, so nothing says where a request's time went."
        )
    parts = {
        "in the queue": split.queue_s,
        "in the model (compute)": split.compute_s,
        "in what the server does not account for (front end, network)": split.other_s,
    }
    told_s = sum(parts.values())
    told = [
        f"{formats.latency(each)} ({formats.per_cent(each / told_s)}) {where}"
        for where, each in parts.items()
    ]
    whole = f"Over all of its loads a request took {formats.latency(split.mean_s)} in the mean"
    return f"{whole}: {formats.listed(told)}."


def _about_processors(found: Diagnosis) -> str:
    if math.isnan(found.processors_busy):
        return "How busy the processors were is not known." if found.split else ""
    # What the server took is read a little before and after the load: there is no more than all.
    taken = formats.per_cent(min(1.0, found.processors_busy))
    who, what = (
        ("the server and the load engine", "the machine's processor time")
        if found.shared
        else ("the server", "the processor time that it may have")
    )
    waits = ": what waits in the queue waits for processors" if found.processors_full else ""
    return f"At the highest load within the budget, {who} took {taken} of {what}{waits}."


def _about_engine(found: Diagnosis) -> str:
    if math.isnan(found.late_s) or math.isnan(found.engine_busy):
        return ""
    return (
        f"The load engine took {formats.per_cent(found.engine_busy)} of one core there, and sent "
        f"99 % of the requests within {formats.latency(found.late_s)} of their due moment."
    )
