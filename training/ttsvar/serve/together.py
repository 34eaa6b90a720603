"""Steps of several sessions in one pass of the device.

Whoever gets the device takes along what others wait for, as far as it is alike. Nobody waits for company: a step that is
alone is computed at once, and steps that came while the device was busy are computed together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ttsvar.serve.loop import Candidates

Stepped = tuple[Candidates, dict]


@dataclass
class _Job:
    candidates: Candidates
    result: Stepped | BaseException | None = None


class Together:
    """Thread-safe. ``device``: held while anything is computed; ``step``: one pass for candidates with equal ``alike``."""

    def __init__(self, device: threading.Lock, step: Callable[[Sequence[Candidates]], list[Stepped]]):
        self._device, self._step = device, step
        self._lock = threading.Lock()
        self._waiting: list[_Job] = []

    def step(self, candidates: Candidates) -> Stepped:
        job = _Job(candidates)
        with self._lock:
            self._waiting.append(job)
        with self._device:
            # Somebody else may have done it meanwhile.
            if job.result is None:
                self._compute(self._take(job))
        if isinstance(job.result, BaseException):
            raise job.result
        return job.result

    def _take(self, mine: _Job) -> list[_Job]:
        with self._lock:
            party = [job for job in self._waiting if job is mine or alike(job, mine)]
            self._waiting = [job for job in self._waiting if job not in party]
        return party

    def _compute(self, jobs: list[_Job]) -> None:
        try:
            for job, result in zip(jobs, self._step([job.candidates for job in jobs]), strict=True):
                job.result = result
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].result = error
                return
            # One of them may be too much, or wrong; the others must not suffer for it.
            for job in jobs:
                self._compute([job])


def alike(one: _Job, other: _Job) -> bool:
    key = one.candidates.alike
    return key is not None and key == other.candidates.alike
