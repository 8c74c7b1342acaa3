"""What a run of the load engine saw.

Latencies are seconds from the moment a request was due (open loop: the intended send time) to the
end of its answer. A request that failed in any way has the latency infinity; one that was still
unanswered when the run gave up counts with its age, which it has reached at least.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from tuner.goals import AnswerLimits
from tuner.load.histogram import FloatArray, Histogram, IntArray, percentile
from tuner.load.profile import ClosedLoop, LoadProfile, LoadRun
from tuner.load.tokens import TokenRecord, Tokens

# The priority of an engine that is scheduled before everything else.
REAL_TIME = "real-time"
# A process that takes a larger share of a core (0 to 1) has no time left to be on time.
_FULL_CORE = 0.95
# The send lag (p99) that is allowed at any latency, in seconds,
_ALLOWED_LAG_S = 1e-3
# and the one that is allowed as a share of the median latency.
_ALLOWED_LAG_SHARE = 0.1
# Why a run stopped early that is over its limit, whatever would have come: `Overload.forgiven`.
LATE = "late"
# What is sampled of each request, and of each that is answered in several parts.
_COLUMNS = ("due_s", "latencies_s", "lags_s")
_STREAMED_COLUMNS = (*_COLUMNS, "ttfts_s", "itls_s", "wholes_s")
# Kinds of failures that say something of this machine, not of the server.
_FAULTS_OF_THIS_MACHINE = ("no_local_port", "too_many_files")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one engine process counted; moments are seconds of the monotonic clock.

    `counts` and `lag_counts` (0 long in a closed loop) count latencies and send lags by bin;
    `failures` of the requests have no latency. `due_s`, `latencies_s` and `lags_s` (how late the
    sends were) are a sample of the requests: every `sample_stride`-th that ended. `in_time` of
    the requests were answered before `end_s`. `latency_sum_s` and `square_sum` are over the
    answered requests. `first_counts` (0 long unless an answer is several responses) count the
    times to the first response by bin; `ttfts_s`, `itls_s` and `wholes_s` are, for the sample, the
    times to first responses, the mean times between output tokens, and those to the end.
    """

    start_s: float
    end_s: float
    requests: int
    in_time: int
    failures: int
    unanswered: int
    errors: Mapping[str, int]
    counts: IntArray
    lag_counts: IntArray
    first_counts: IntArray
    latency_sum_s: float
    square_sum: float
    due_s: FloatArray
    latencies_s: FloatArray
    lags_s: FloatArray
    ttfts_s: FloatArray
    itls_s: FloatArray
    wholes_s: FloatArray
    tokens: TokenRecord | None
    sample_stride: int
    engine_cpu_s: float = 0.0
    engine_wall_s: float = 0.0
    priority: str = "normal"
    stopped_early: str = ""
    client_send_s: float = math.nan
    client_receive_s: float = math.nan
    bytes_sent: int = 0
    bytes_received: int = 0
    reconnected: int = 0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One load point. Rates are per second; `throughput` counts inferences, not requests.

    `start_s` is the moment of the monotonic clock from which `due_s` counts. `histogram` has all
    requests. `due_s` (ascending), `latencies_s` and `lags_s` (how late the sends were) belong
    together, entry by entry: all requests, or every `sample_stride`-th of them where there are
    more than memory should hold. `mean_s` and `std_s` are those of the
    answered requests, NaN if there are none. `client_send_s` and `client_receive_s` are the mean
    time to hand a request to the kernel (sampled), and from the first bytes of an answer to its
    last. Where an answer is several responses, on a stream, `first_response` has the times from
    the moment that a request was due to the first of them (to its end, if it had none), of the
    requests that were answered; `ttfts_s`, `itls_s` (the mean time between the output tokens of a
    request) and `wholes_s` (to the end of the answer) then belong together with `due_s`, else they
    are empty. A request that failed has infinity there, one without an answer as much as it has
    reached; the time between tokens is NaN where an answer has less than two, or was not streamed.
    Where the run has `limits`, `latencies_s` and all that is made of them are what is judged: the
    worst of these times, each over its own limit, in seconds of the leading one. `tokens` are
    there where answers are made of them. `reconnected` counts the requests that were sent once
    more, on another connection (resends.py): that is no error, and the time that it took is in
    their latency. `errors` counts the requests that failed, by kind:

    - `http_503` and the like: an answer with a status that is no success;
    - `grpc_unavailable` and the like: an answer with a gRPC status other than OK;
    - `triton_internal` and the like: an error of Triton's C API;
    - `stream_error`: an error on a stream of V2 inference, or in an event of a streamed answer;
    - `bad_response`: bytes that break the protocol, or go on after the answer's end;
    - `wrong_output`: an answer other than the expected one;
    - `connection_lost`, `goaway`, `stream_reset`: the server ended the connection or the stream
      before the answer was complete;
    - `connection_refused`, `connect_timeout`, `connect_failed`, `tls_failed`: there was no
      connection to be had;
    - `no_local_port`, `too_many_files`: this machine had no connection left to give;
    - `timeout`: no answer within the run's `timeout_s`;
    - `stalled`: a streamed answer had begun, and nothing more of it came for as long;
    - `stream_incomplete`: a stream of events ended before its last one;
    - `no_output`: an answer without any output token.
    """

    profile: LoadProfile
    start_s: float
    duration_s: float
    inferences_per_request: int
    throughput: float
    requests: int
    errors: Mapping[str, int]
    unanswered: int
    send_lag_p99_s: float
    engine_cpu_s: float
    engine_wall_s: float
    priority: str
    stopped_early: str
    due_s: FloatArray
    latencies_s: FloatArray
    lags_s: FloatArray
    ttfts_s: FloatArray
    itls_s: FloatArray
    wholes_s: FloatArray
    sample_stride: int
    tokens: Tokens | None
    histogram: Histogram
    first_response: Histogram | None
    mean_s: float
    std_s: float
    client_send_s: float
    client_receive_s: float
    bytes_sent: int
    bytes_received: int
    reconnected: int
    workers: int

    @classmethod
    def of(
        cls, run: LoadRun, records: Sequence[RunRecord], inferences_per_request: int
    ) -> "Measurement":
        """What the engine processes of one run counted, as one."""
        start_s = min(record.start_s for record in records)
        duration_s = max(record.end_s for record in records) - start_s
        counts = np.sum([record.counts for record in records], axis=0)
        lags = Histogram.of_counts(np.sum([record.lag_counts for record in records], axis=0), 0)
        histogram = Histogram.of_counts(counts, sum(record.failures for record in records))
        firsts = np.sum([record.first_counts for record in records], axis=0)
        told = [record.tokens for record in records if record.tokens]
        mean_s, std_s = _moments(
            sum(record.requests - record.failures for record in records),
            sum(record.latency_sum_s for record in records),
            sum(record.square_sum for record in records),
        )
        return cls(
            profile=run.profile,
            start_s=start_s,
            duration_s=duration_s,
            inferences_per_request=inferences_per_request,
            throughput=sum(r.in_time for r in records) * inferences_per_request / duration_s,
            requests=sum(record.requests for record in records),
            errors=dict(sum((Counter(record.errors) for record in records), Counter())),
            unanswered=sum(record.unanswered for record in records),
            send_lag_p99_s=lags.percentile(99) if lags.count else 0.0,
            engine_cpu_s=sum(record.engine_cpu_s for record in records),
            engine_wall_s=max(record.engine_wall_s for record in records),
            priority=records[0].priority,
            stopped_early=next((r.stopped_early for r in records if r.stopped_early), ""),
            **_thinned_alike(records, [-start_s] * len(records)),
            histogram=histogram,
            tokens=Tokens.of(told, duration_s) if told else None,
            first_response=Histogram.of_counts(firsts, 0) if firsts.size else None,
            mean_s=mean_s,
            std_s=std_s,
            client_send_s=float(np.mean([record.client_send_s for record in records])),
            client_receive_s=float(np.mean([record.client_receive_s for record in records])),
            bytes_sent=sum(record.bytes_sent for record in records),
            bytes_received=sum(record.bytes_received for record in records),
            reconnected=sum(record.reconnected for record in records),
            workers=len(records),
        )

    @classmethod
    def pooled(cls, parts: Sequence["Measurement"]) -> "Measurement":
        """Runs of the same load, one after the other, as one."""
        duration_s = sum(part.duration_s for part in parts)
        begins_s = accumulate((part.duration_s for part in parts[:-1]), initial=0.0)
        sample = _thinned_alike(parts, begins_s)
        tokens = [part.tokens for part in parts if part.tokens]
        firsts = [part.first_response for part in parts if part.first_response]
        weights = [(part, part.histogram.count - part.histogram.failures) for part in parts]
        mean_s, std_s = _moments(
            sum(count for _, count in weights),
            sum(part.mean_s * count for part, count in weights if count),
            sum((part.std_s**2 + part.mean_s**2) * count for part, count in weights if count),
        )
        return replace(
            parts[-1],
            duration_s=duration_s,
            throughput=sum(part.throughput * part.duration_s for part in parts) / duration_s,
            requests=sum(part.requests for part in parts),
            errors=dict(sum((Counter(part.errors) for part in parts), Counter())),
            unanswered=sum(part.unanswered for part in parts),
            send_lag_p99_s=_p99_s(sample["lags_s"]),
            engine_cpu_s=sum(part.engine_cpu_s for part in parts),
            engine_wall_s=sum(part.engine_wall_s for part in parts),
            stopped_early=next((p.stopped_early for p in parts if p.stopped_early), ""),
            start_s=parts[0].start_s,
            **sample,
            tokens=Tokens.pooled(tokens) if tokens else None,
            histogram=Histogram.pooled([part.histogram for part in parts]),
            first_response=Histogram.pooled(firsts) if firsts else None,
            mean_s=mean_s,
            std_s=std_s,
            client_send_s=float(np.mean([part.client_send_s for part in parts])),
            client_receive_s=float(np.mean([part.client_receive_s for part in parts])),
            bytes_sent=sum(part.bytes_sent for part in parts),
            bytes_received=sum(part.bytes_received for part in parts),
            reconnected=sum(part.reconnected for part in parts),
        )

    @cached_property
    def sorted_latencies_s(self) -> FloatArray:
        return np.sort(self.latencies_s)

    def percentile(self, q: float) -> float:
        """Latency percentile in seconds; infinity where too many requests failed, or none ran.

        To the width of a histogram bin where `latencies_s` is only a sample.
        """
        if not self.requests:
            return math.inf
        if self.sample_stride > 1:
            return self.histogram.percentile(q)
        return percentile(self.sorted_latencies_s, q)

    @property
    def answer_times_s(self) -> FloatArray:
        """From when each request of the sample was due to the end of its answer."""
        return self.wholes_s if len(self.wholes_s) else self.latencies_s

    def ttft(self, q: float) -> float:
        """Percentile of the time to the first token, or part, of an answer, in seconds."""
        return _percentile(self.ttfts_s, q)

    def itl(self, q: float) -> float:
        """Percentile of the mean time between the tokens of an answer, in seconds."""
        return _percentile(self.itls_s, q)

    def goodput(self, limits: AnswerLimits) -> float:
        """Inferences per second that were answered within all of the limits."""
        if self.sample_stride > 1 and not limits.of_parts:
            count = self.histogram.within(limits.whole_s)
        else:
            good = self.answer_times_s <= limits.whole_s
            if limits.of_parts:
                # An answer of one token has no time between two.
                good &= (self.ttfts_s <= limits.ttft_s) & ~(self.itls_s > limits.itl_s)
            count = int(np.count_nonzero(good)) * self.sample_stride
        return count * self.inferences_per_request / self.duration_s

    def is_beyond(self, limits: AnswerLimits, q: float) -> bool:
        """Whether a percentile is beyond its limit."""
        return (
            self.percentile(q) > limits.whole_s
            or self.ttft(q) > limits.ttft_s
            or self.itl(q) > limits.itl_s
        )

    def between(self, profile: LoadProfile, begin_s: float, end_s: float) -> "Measurement":
        """The requests that were due from `begin_s` to `end_s`, as a load point of `profile`.

        Its throughput is that of the answers which ended in that time, whenever they were due.
        Made of the sample: the kinds of failures and the tokens are not known, and what the engine
        took, and what was sent once more, stays that of the whole run.
        """
        chosen = (self.due_s >= begin_s) & (self.due_s < end_s)
        columns = {
            name: each[chosen] if len(each := getattr(self, name)) else each
            for name in _STREAMED_COLUMNS
        }
        due_s, latencies_s = columns["due_s"], columns["latencies_s"]
        answers_s = self.answer_times_s[chosen]
        answered = answers_s[np.isfinite(answers_s)]
        ends_s = self.due_s + self.answer_times_s
        in_time = np.count_nonzero((ends_s > begin_s) & (ends_s <= end_s)) * self.sample_stride
        failed = (len(answers_s) - len(answered)) * self.sample_stride
        return replace(
            self,
            profile=profile,
            start_s=self.start_s + begin_s,
            duration_s=end_s - begin_s,
            throughput=in_time * self.inferences_per_request / (end_s - begin_s),
            requests=len(due_s) * self.sample_stride,
            errors={"failed": failed} if failed else {},
            unanswered=0,
            send_lag_p99_s=_p99_s(columns["lags_s"]),
            **{**columns, "due_s": due_s - begin_s},
            tokens=None,
            histogram=Histogram.of(latencies_s),
            first_response=Histogram.of(columns["ttfts_s"]) if self.first_response else None,
            mean_s=float(answered.mean()) if len(answered) else math.nan,
            std_s=float(answered.std()) if len(answered) else math.nan,
        )

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def engine_cpu_per_request_s(self) -> float:
        return self.engine_cpu_s / self.requests if self.requests else math.nan

    @property
    def engine_cpu_share(self) -> float:
        """Part of one core that each engine process used, from 0 to 1."""
        return self.engine_cpu_s / (self.engine_wall_s * self.workers)

    @property
    def client_overloaded(self) -> str:
        """Why this says more of the client than of the server; empty if it does not.

        The lag that is allowed is a tenth of the median latency, or 1 ms if that is more.
        """
        own = sum(self.errors.get(kind, 0) for kind in _FAULTS_OF_THIS_MACHINE)
        if own:
            return f"{own} requests found this machine without a free port or file descriptor"
        if self.engine_cpu_share > _FULL_CORE:
            return f"the load engine used {self.engine_cpu_share:.0%} of its core"
        allowed_s = max(_ALLOWED_LAG_S, _ALLOWED_LAG_SHARE * self.percentile(50))
        if not isinstance(self.profile, ClosedLoop) and self.send_lag_p99_s > allowed_s:
            return f"requests left {self.send_lag_p99_s * 1e3:.1f} ms late (p99)"
        return ""


def _thinned_alike(
    parts: Sequence[RunRecord | Measurement], shifts_s: Iterable[float]
) -> dict[str, Any]:
    """One sample of all, as fields of a measurement; each part's due times are moved by its shift.

    Streamed is either all of it, or nothing.
    """
    stride = max(part.sample_stride for part in parts)
    # A part without any request has nothing in either.
    names = _STREAMED_COLUMNS if any(len(part.ttfts_s) for part in parts) else _COLUMNS
    samples = []
    for part, shift_s in zip(parts, shifts_s, strict=True):
        due_s, *others = (getattr(part, name) for name in names)
        samples.append(np.stack((due_s + shift_s, *others))[:, :: stride // part.sample_stride])
    sample = np.concatenate(samples, axis=1)
    columns = np.take(sample, np.argsort(sample[0], kind="stable"), axis=1)
    empty = dict.fromkeys(_STREAMED_COLUMNS, np.empty(0))
    return empty | dict(zip(names, columns, strict=True)) | {"sample_stride": stride}


def _percentile(values_s: FloatArray, q: float) -> float:
    known = values_s[~np.isnan(values_s)]
    return percentile(np.sort(known), q) if len(known) else math.nan


def _p99_s(lags_s: FloatArray) -> float:
    return percentile(np.sort(lags_s), 99) if len(lags_s) else 0.0


def _moments(count: int, total_s: float, square_sum: float) -> tuple[float, float]:
    """Mean and standard deviation."""
    if not count:
        return math.nan, math.nan
    mean_s = total_s / count
    return mean_s, math.sqrt(max(0.0, square_sum / count - mean_s**2))
