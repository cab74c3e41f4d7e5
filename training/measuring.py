"""A model is measured while its training goes on: as it is at that moment, on a thread of its own."""

import copy
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import torch
from torch import nn

from training.records import Measurement


class Measured(Protocol):
    """A task, as far as measuring it goes."""

    @property
    def model(self) -> nn.Module:
        """What is measured."""

    def evaluate(self, step: int, train_loss: float) -> Measurement:
        """Measure the model after `step`, in eval mode; `train_loss` is the mean since the last measurement."""


Own = TypeVar("Own", bound=Measured)


class Measurer:
    """Measures tasks as they are when it is told to, one after the other, while the caller goes on."""

    def __init__(self) -> None:
        threads = torch.get_num_threads()  # MKL would take every core in a new thread, whatever this one has
        self.thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self.pending = deque[tuple[int, Future[Measurement]]]()

    def __enter__(self) -> "Measurer":
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.shutdown(cancel_futures=True)

    def start(self, task: Measured, step: int, train_loss: float) -> None:
        """Measure the task as it is after `step`."""
        self.pending.append((step, self.thread.submit(_measure, as_it_is(task), step, train_loss)))

    def finished(self, wait: bool) -> Iterator[tuple[int, Measurement]]:
        """The measurements that are done, with the number of their step; if it must `wait`, all of them."""
        while self.pending and (wait or self.pending[0][1].done()):
            step, measurement = self.pending.popleft()
            yield step, measurement.result()


def as_it_is(task: Own) -> Own:
    """The task with a copy of its model, in eval mode, that training does not change."""
    found = copy.copy(task)
    vars(found)["model"] = copy.deepcopy(task.model).eval()
    return found


@torch.no_grad()  # which holds for one thread
def _measure(task: Measured, step: int, train_loss: float) -> Measurement:
    return task.evaluate(step, train_loss)
