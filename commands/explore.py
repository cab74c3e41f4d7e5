"""The page to play with."""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.options import Common, refuse_idle
from common.arguments import Optional, Sentences, Typed
from common.checks import check
from common.files import UserError
from studies.catalogue.recipes import RECIPES, WIDTHS

if TYPE_CHECKING:
    from studies.explore import Shelf
    from studies.question import Question

PACKAGES = ("gradio", "plotly")  # that only the page needs


@dataclass(frozen=True)
class Explore:
    """A page to play with: who said it, attention, surprise, how a text goes on. On this machine alone, offline."""

    sentences: Sentences = ()  # those that --export shows, each in quotes
    export: Optional[Path] = None  # HTML file that shows the sentences to those without Python, instead of the page
    runs: Path = Path("runs")  # folder with trained models; the report's are trained there if there are none
    data_dir: Path = Path("speechesdataset")  # folder with the data that they were trained on
    port: int = 7860  # of the page's address

    def run(self, typed: Typed) -> None:
        check(self, "from 1 to 65535", "port")
        if bool(self.sentences) != (self.export is not None):
            raise UserError('--export takes a file and sentences: explore --export page.html "We will rebuild."')
        if self.export is not None:
            refuse_idle(self, "with --export", "port")
            if self.export.is_dir():  # said before a model is trained
                raise UserError(f"{self.export}: a folder; --export takes the name of a file, such as page.html")
            from reporting.explore_views import export

            export(self.export, self.shelf(), self.sentences)
            print(f"The page, for any browser, with or without a network: {self.export}")
            return
        try:
            from reporting.explore_page import page, serve
        except ModuleNotFoundError as error:
            if error.name not in PACKAGES:
                raise
            raise UserError(f"the page needs {error.name}; pip install -r requirements-page.txt") from error
        address = serve(page(self.shelf()), self.port)
        print(f"The page: {address} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()

    def shelf(self) -> "Shelf":
        """The trained models; those of the report are trained, as part1 and part2 would, if a kind is missing."""
        from studies.catalogue.questions import how_surprising, who_said_it
        from studies.explore import Shelf

        recipes, shelf = RECIPES["report"], Shelf(self.runs, self.data_dir)
        if not shelf.names("classifier"):
            self.train("part1", who_said_it(recipes["classifier"]))
        if not shelf.names("decoder"):
            self.train("part2", how_surprising(recipes["decoder"], WIDTHS[:1]))
        return shelf

    def train(self, command: str, question: "Question") -> None:
        """Train the models of a question in the folder of a command."""
        task = question.kind.name
        print(f"{self.runs}: no {task} yet; training the report's", file=sys.stderr)
        options = Common(self.data_dir, self.runs / command)
        typed = Typed((command, "--data-dir", str(self.data_dir), "--out", str(options.out)))
        options.answer(options.study(command, "report", {task: RECIPES["report"][task]}, question), typed)
