"""A model is measured while its training goes on: a copy of it, on a thread of its own."""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import torch

from common.files import UserError, as_json
from training.checkpoint import State
from training.progress import Progress
from training.records import Measurement


class Measured(Protocol):
    """A task, as far as measuring it goes."""

    model: Any  # a module, which each task knows by a narrower type
    evaluate_at: Sequence[int]  # numbers of the steps after which the model is measured

    def evaluate(self, step: int, train_loss: float) -> Measurement:
        """Measure the model after `step`, in eval mode; `train_loss` is the mean since the last measurement."""


class Measurer:
    """Measures a task after the step that its training has reached, one measurement at a time, and puts each into the
    history of the run's state."""

    def __init__(
        self,
        task: Measured,
        state: State[Measurement],
        progress: Progress,
        on_measurement: Callable[[list[Measurement]], None] | None,
        in_background: bool,
    ) -> None:
        self.task, self.state, self.progress, self.on_measurement = task, state, progress, on_measurement
        self.in_background = in_background  # the training goes on, but after the last step
        n_threads = torch.get_num_threads()  # in a new thread MKL would take every core, whatever this one has
        self.thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(n_threads,))
        self.pending: tuple[int, Future[Measurement]] | None = None  # by the number of its step

    def __enter__(self) -> "Measurer":
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.shutdown(cancel_futures=True)

    def measure_if_due(self) -> bool:
        """Measure the model as it is now, if that is due; returns whether a measurement has come in, this or the one
        before."""
        step = self.state.step
        if step not in self.task.evaluate_at:
            return self.collect(wait=False)
        has_come = self.collect(wait=True)
        frozen = copy.copy(self.task)
        frozen.model = copy.deepcopy(self.task.model).eval()
        evaluate = torch.no_grad()(frozen.evaluate)  # which holds for one thread
        self.pending = step, self.thread.submit(evaluate, step, self.state.take_mean_loss())
        is_last = step == self.task.evaluate_at[-1]
        return self.collect(wait=is_last or not self.in_background) or has_come

    def collect(self, wait: bool) -> bool:
        """Put the measurement that is being made into the history, if it is done or one must `wait` for it; returns
        whether there was one. UserError if it is not finite."""
        if self.pending is None or not (wait or self.pending[1].done()):
            return False
        (step, future), self.pending = self.pending, None
        measurement = future.result()
        try:
            as_json(measurement)
        except ValueError:
            raise diverged(step) from None
        self.state.history.append(measurement)
        self.progress.show(measurement, step)
        if self.on_measurement is not None:
            self.on_measurement(self.state.history)
        return True


def diverged(step: int) -> UserError:
    """The error of a training whose loss, or what is measured of it, is infinite or no number."""
    return UserError(f"training diverged at step {step}: no finite loss; lower --learning-rate, or use --set clip=1")
