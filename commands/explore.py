"""The page that computes."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.options import Common
from common.arguments import Typed
from common.files import UserError
from studies.catalogue.recipes import RECIPES, WIDTHS
from training.recipe import Task

if TYPE_CHECKING:
    from studies.question import Question

TASKS: tuple[Task, Task] = ("classifier", "decoder")  # of each the page holds a model


@dataclass(frozen=True)
class Explore:
    """One HTML file with two trained models inside: who said it, attention, surprise, how a text goes on. Offline."""

    # weights of a classifier and of a decoder; by default the newest of each below --runs
    model: tuple[Path, ...] = ()
    runs: Path = Path("runs")  # folder with trained models; the report's are trained there if there are none
    data_dir: Path = Path("speechesdataset")  # folder with the data that they were trained on
    out: Path = Path("runs/explore")  # folder for the file

    def run(self, typed: Typed) -> None:
        from reporting.explore_page import write_browser_page
        from studies.workplace import data_of
        from training.weights import TrainedModel, load_model
        from transformer import Decoder

        models: dict[Task, TrainedModel] = {}
        for path in self.model:
            trained = load_model(path)
            task: Task = "decoder" if isinstance(trained.model, Decoder) else "classifier"
            if task in models:
                raise UserError(f"{path}: a second {task}; name at most one classifier and one decoder")
            models[task] = trained
        for task in TASKS:
            if task not in models:
                models[task] = load_model(self.newest(task))
        path = self.out / "orator.html"
        size = write_browser_page(path, models, {task: data_of(models[task], self.data_dir) for task in TASKS})
        print(
            f"The page: {path} ({size / 1e6:.1f} MB). It opens in any browser, without a network: send it to anybody."
        )

    def newest(self, task: Task) -> Path:
        """The newest model of a task below --runs; the report's is trained, as part1 and part2 would, if there is
        none."""
        from studies.catalogue.questions import how_surprising, who_said_it
        from training.weights import saved_models

        paths = saved_models(self.runs, task)
        if not paths:
            print(f"{self.runs}: no {task} yet; training the report's", file=sys.stderr)
            recipe = RECIPES["report"][task]
            if task == "classifier":
                self.train("part1", who_said_it(recipe))
            else:
                self.train("part2", how_surprising(recipe, WIDTHS[:1]))
            paths = saved_models(self.runs, task)
        return paths[0]

    def train(self, command: str, question: "Question") -> None:
        """Train the models of a question in the folder of a command."""
        task = question.kind.name
        options = Common(self.data_dir, self.runs / command)
        typed = Typed((command, "--data-dir", str(self.data_dir), "--out", str(options.out)))
        options.answer(options.study(command, "report", {task: RECIPES["report"][task]}, question), typed)
