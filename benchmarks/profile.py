"""Where a training step's time goes, by kind of operation: what a share of the machine's peak is made of."""

from collections import defaultdict

from torch.profiler import ProfilerActivity, profile

from benchmarks.contenders import Task, our_step
from benchmarks.timing import Row

KINDS = {  # what an operator does -> how its name begins
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention kernel": ("aten::_scaled_dot_product",),
    "optimizer": ("aten::_fused_adamw", "Optimizer"),
    "layer norms": ("aten::native_layer_norm",),
    "ReLU": ("aten::clamp_min", "aten::threshold_backward"),
    "copies and zeros": ("aten::copy_", "aten::fill_", "aten::zero_", "aten::cat"),
    "softmax of the output layer": ("aten::exp_", "aten::amax", "aten::div_", "aten::sub_"),
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
        kind = next((kind for kind, starts in KINDS.items() if event.key.startswith(starts)), REST)
        seconds[kind] += event.self_cpu_time_total / 1e6 / rounds
    group = f"training step of the {task}, by kind of operation"
    return [Row(group, kind, spent) for kind, spent in sorted(seconds.items(), key=lambda item: -item[1])]
