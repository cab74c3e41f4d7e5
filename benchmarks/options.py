"""What bf16 brings to a training step of either recipe."""

from benchmarks.contenders import Sizes, Task, our_step, step_flops
from benchmarks.timing import Row, compare
from studies.catalogue.recipes import RECIPES


def timed_options(task: Task, rounds: int) -> list[Row]:
    """A step of each recipe, at the recipe's own sizes, as it is and in bf16."""
    rows = []
    for name, recipes in RECIPES.items():
        recipe = recipes[task]
        sizes = Sizes(recipe.architecture.block_size, recipe.training.batch_size)
        steps = {
            "as it is": our_step(task, sizes, name),
            "--precision bf16": our_step(task, sizes, name, precision="bf16"),
        }
        group = f"training step of the {task}, {name} recipe"
        rows += compare(group, steps, "as it is", step_flops(task, sizes, recipe.architecture), rounds)
    return rows
