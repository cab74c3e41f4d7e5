"""Where a training step's time goes, by kind of operation: what a share of the machine's peak is made of."""

from collections import defaultdict

from torch.profiler import ProfilerActivity, profile

from benchmarks.contenders import Task, our_step
from benchmarks.timing import Row

KINDS = {  # the beginning of an operator's name -> what it does
    "aten::mm": "matrix products",
    "aten::addmm": "matrix products",
    "aten::bmm": "matrix products",
    "aten::_scaled_dot_product": "attention kernel",
    "aten::_fused_adamw": "optimizer",
    "Optimizer": "optimizer",
    "aten::native_layer_norm": "layer norms",
    "aten::clamp_min": "ReLU",
    "aten::threshold_backward": "ReLU",
    "aten::copy_": "copies and zeros",
    "aten::fill_": "copies and zeros",
    "aten::zero_": "copies and zeros",
    "aten::cat": "copies and zeros",
    "aten::exp_": "softmax of the output layer",
    "aten::amax": "softmax of the output layer",
    "aten::div_": "softmax of the output layer",
    "aten::sub_": "softmax of the output layer",
}
REST = "all other operators, and calling them"


def profiled(task: Task, rounds: int) -> list[Row]:
    """Seconds of a step by kind of operation; the profiler itself makes a step somewhat longer."""
    step = our_step(task)
    for _ in range(10):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(rounds):
            step()
    seconds: dict[str, float] = defaultdict(float)
    for event in recorded.key_averages():
        kind = next((kind for start, kind in KINDS.items() if event.key.startswith(start)), REST)
        seconds[kind] += event.self_cpu_time_total / 1e6 / rounds
    group = f"training step of the {task}, by kind of operation"
    return [Row(group, kind, spent) for kind, spent in sorted(seconds.items(), key=lambda item: -item[1])]
