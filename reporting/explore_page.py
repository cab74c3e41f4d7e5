"""The page to play with, by gradio: what a person does in it, and which view of reporting/explore_views.py answers.

Nothing of one person is kept for another: every answer is made of what the asking page sends. Nothing is asked of
anywhere but this machine.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read where gradio is imported

import gradio as gr
import plotly.graph_objects as go
from studies.finished import Finished, differences, finished_runs

import utilities
from common.files import UserError
from inference.sampling import Sampling
from reporting import explore_views as views
from studies import explore
from studies.catalogue.published import REPORT_SENTENCE
from studies.explore import Looks, Shelf
from transformer import Decoder

TITLE = "Orator: a page to play with"
N_WORDS = 40  # with which "go on" ends
PAPER = {"paper_bgcolor": "white", "plot_bgcolor": "white", "font": {"color": utilities.INK, "size": 14}}
STYLE = "footer, .show-api { display: none !important; } .gradio-container { max-width: 80rem !important; }"
CLICK = """element.addEventListener("click", event => {
  const map = event.target.closest("button");
  if (!map) return;
  element.querySelectorAll("button").forEach(one => one.setAttribute("aria-pressed", one === map));
  trigger("click", {layer: Number(map.dataset.layer), head: Number(map.dataset.head)});
});"""


def page(shelf: Shelf) -> gr.Blocks:
    """All tabs; what they show at first is made now, so that it is there when they are opened."""
    classifiers, decoders = shelf.names("classifier"), shelf.names("decoder")
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(views.in_view(f"<h1>{TITLE}</h1>"))
        with gr.Tab("Who said it?"):
            seen("Who said it?", classifiers, lambda *asked: views.who(explore.who_said_it(shelf, *asked)))
        with gr.Tab("Attention"):
            attention(shelf, [*classifiers, *decoders])
        with gr.Tab("How surprising?"):
            seen("How surprising?", decoders, lambda *asked: views.surprise(explore.surprise(shelf, *asked)))
        with gr.Tab("Continue"):
            go_on(shelf, decoders)
        with gr.Tab("Runs"):
            compare_runs(finished_runs(shelf.runs))
    return blocks


def serve(blocks: gr.Blocks, port: int) -> str:
    """Show the page to this machine and to nobody else; returns its address. UserError where the port is taken."""
    blocks.queue(api_open=False, default_concurrency_limit=os.cpu_count())
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # others ask for fonts
    try:
        _, address, _ = blocks.launch(
            server_name="127.0.0.1",
            server_port=port,
            share=False,
            quiet=True,
            theme=theme,
            css=STYLE + views.style(),
            ssr_mode=False,
            mcp_server=False,
            footer_links=[],
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise UserError(f"port {port} is taken by another program; choose another by --port") from error
    return str(address)


def answered(make: Callable[[], str]) -> str:
    """What `make` gives, or the line that says what is wrong with the input."""
    try:
        return views.in_view(make())
    except UserError as error:
        return views.in_view(views.wrong(str(error)))


def model_and_text(names: list[str], text: str = REPORT_SENTENCE) -> tuple[gr.Dropdown, gr.Textbox]:
    """Which model, and what text; a press of Enter sends it."""
    with gr.Row():
        model = gr.Dropdown(names, value=names[0], label="Model", scale=1, min_width=280)
        box = gr.Textbox(text, label="Text", lines=1, max_lines=8, scale=3, min_width=300, max_length=explore.LONGEST)
    return model, box


# ------------------------------------------------------------------------------------- who said it? how surprising?
def seen(question: str, names: list[str], view: Callable[[str, str], str]) -> None:
    """One view of a text, by the name of the model that is asked, and a button that asks."""

    def answer(name: str, text: str) -> str:
        return answered(lambda: view(name, text))

    model, text = model_and_text(names)
    button = gr.Button(question, variant="primary")
    found = gr.HTML(answer(names[0], REPORT_SENTENCE))
    gr.on([button.click, text.submit, model.input], answer, [model, text], found, api_visibility="private")


# ----------------------------------------------------------------------------------------------------------- attention
def attention(shelf: Shelf, names: list[str]) -> None:
    """All maps at a glance, one of them large, and what the model says without some heads."""

    def show(name: str, text: str) -> tuple[str, go.Figure | None, str]:
        try:
            found = explore.looks(shelf, name, text)
            return views.in_view(views.maps(found)), large_map(found, 0, 0), change(name, text, [])
        except UserError as error:
            return views.in_view(views.wrong(str(error))), None, ""

    def show_anew(name: str, text: str) -> tuple[str, go.Figure | None, str, dict[str, object], tuple[str, str]]:
        return *show(name, text), gr.update(choices=heads_of(name), value=[]), (name, text)

    def heads_of(name: str) -> list[str]:
        return [part.name for part in explore.heads(shelf, name)]

    def enlarge(asked: tuple[str, str], event: gr.EventData) -> go.Figure:
        return large_map(explore.looks(shelf, *asked), event.layer, event.head)

    def switch(asked: tuple[str, str], off: list[str]) -> str:
        return change(*asked, off)

    def change(name: str, text: str, off: list[str]) -> str:
        parts = [part for part in explore.heads(shelf, name) if part.name in off]
        what = "Next word" if isinstance(shelf.model(name).model, Decoder) else "Who said it"
        return answered(lambda: views.change(explore.without(shelf, name, text, parts), what))

    model, text = model_and_text(names)
    button = gr.Button("Show attention", variant="primary")
    asked, first = gr.State((names[0], REPORT_SENTENCE)), show(names[0], REPORT_SENTENCE)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            grid = gr.HTML(first[0], js_on_load=CLICK)
        with gr.Column(scale=3, min_width=320):
            large = gr.Plot(first[1], show_label=False)
    off = gr.CheckboxGroup(heads_of(names[0]), label="Switch heads off")
    said = gr.HTML(first[2])
    gr.on(
        [button.click, text.submit, model.input],
        show_anew,
        [model, text],
        [grid, large, said, off, asked],
        api_visibility="private",
    )
    grid.click(enlarge, asked, large, api_visibility="private")
    off.input(switch, [asked, off], said, api_visibility="private")


def large_map(found: Looks, layer: int, head: int) -> go.Figure:
    """One map, with the two words and the weight where one points."""
    weights, gap = found.maps[layer, head].numpy(), 1 if len(found.places) <= 20 else 0
    places = [
        name if place <= len(found.words) else "" for place, name in enumerate(found.places)
    ]  # padding is named once
    scale = [[i / (len(views.SCALE) - 1), f"rgb{colour}"] for i, colour in enumerate(views.SCALE)]
    picture = go.Heatmap(
        z=weights,
        customdata=[[[word, place] for place in found.places] for word in found.words],
        hovertemplate="%{customdata[0]} looks at %{customdata[1]}: %{z:.3f}<extra></extra>",
        colorscale=scale,
        zmin=0,
        zmax=float(weights.max()),
        colorbar={"orientation": "h", "thickness": 12, "y": 1, "yanchor": "bottom"},
        xgap=gap,
        ygap=gap,
    )
    figure = go.Figure(picture)
    figure.update_layout(
        title=f"layer {layer + 1}, head {head + 1}: weights",
        height=min(900, 260 + 24 * len(found.words)),
        margin={"l": 10, "r": 10, "t": 100, "b": 10},
        **PAPER,
    )
    for axes, title, names in (
        (figure.update_xaxes, "is looked at", places),
        (figure.update_yaxes, "looks", found.words),
    ):
        axes(title=title, tickvals=list(range(len(names))), ticktext=names, automargin=True)
    figure.update_xaxes(tickangle=-60)
    figure.update_yaxes(autorange="reversed")
    return figure


# ------------------------------------------------------------------------------------------------------------ continue
def go_on(shelf: Shelf, names: list[str]) -> None:
    """A word at a time, to guess at, or many as they come."""

    def words(
        n: int, name: str, text: str, temperature: float, top_p: float, top_k: float, seed: float | None
    ) -> Iterator[str]:
        sampling = Sampling(n + 1, temperature, int(top_k) or None, top_p, int(seed or 0))
        for found in explore.continuations(shelf, name, text, sampling):
            yield views.continuation(text, found)

    def after(n: int, *given: Any) -> tuple[int, str]:
        return n, answered(lambda: list(words(n, *given))[-1])

    def running(*given: Any) -> Iterator[tuple[int, str]]:
        try:
            for n, found in enumerate(words(N_WORDS, *given)):
                yield n, views.in_view(found)
        except UserError as error:
            yield 0, views.in_view(views.wrong(str(error)))

    model, text = model_and_text(names, text="My fellow Americans")
    with gr.Row():
        temperature = gr.Slider(0, 2, Sampling.temperature, step=0.1, label="Temperature (0: always the likeliest)")
        top_p = gr.Slider(0.05, 1, Sampling.top_p, step=0.05, label="Top-p: of the likeliest that have this together")
        top_k = gr.Slider(0, 100, 0, step=1, label="Top-k: of the k likeliest (0: of all)")
        seed = gr.Number(0, label="Seed", precision=0)
    given = [model, text, temperature, top_p, top_k, seed]
    with gr.Row():
        next_word, run, again = (gr.Button(label) for label in ("Next word", f"Go on: {N_WORDS} words", "Start again"))
    n = gr.State(0)
    found = gr.HTML(after(0, names[0], "My fellow Americans", Sampling.temperature, Sampling.top_p, 0, 0)[1])
    next_word.click(lambda n, *given: after(n + 1, *given), [n, *given], [n, found], api_visibility="private")
    run.click(running, given, [n, found], api_visibility="private")
    gr.on(
        [again.click, model.input, text.submit, text.blur, *(one.change for one in given[2:])],
        lambda *given: after(0, *given),
        given,
        [n, found],
        trigger_mode="always_last",
        api_visibility="private",
    )


# ---------------------------------------------------------------------------------------------------------------- runs
def compare_runs(runs: list[Finished]) -> None:
    """Curves laid over each other, and the settings that differ."""
    by_name = {run.name: run for run in runs}
    measures = list(dict.fromkeys(measure for run in runs for measure in run.curves))

    def answer(names: list[str], measure: str) -> tuple[go.Figure | None, str]:
        chosen = [by_name[name] for name in names]
        drawn = [run for run in chosen if measure in run.curves]
        if not drawn:
            return None, answered_line("choose at least one run that has this measure")
        return curves(drawn, measure), views.in_view(views.settings(chosen, differences(chosen)))

    def answered_line(line: str) -> str:
        return views.in_view(views.wrong(line))

    if not runs:
        gr.HTML(answered_line("no finished run there yet"))
        return
    first = [run.name for run in runs if measures[0] in run.curves][:3]
    with gr.Row():
        names = gr.Dropdown(list(by_name), value=first, multiselect=True, label="Runs", scale=3, min_width=300)
        measure = gr.Dropdown(measures, value=measures[0], label="Measure", scale=1, min_width=280)
    figure, table = answer(first, measures[0])
    picture, settings = gr.Plot(figure, show_label=False), gr.HTML(table)
    gr.on([names.change, measure.change], answer, [names, measure], [picture, settings], api_visibility="private")


def curves(runs: list[Finished], measure: str) -> go.Figure:
    """The mean over seeds, and a band from the lowest to the highest."""
    figure = go.Figure()
    for place, run in enumerate(runs):
        curve, colour = run.curves[measure], utilities.COLORS[place % len(utilities.COLORS)]
        if len(curve.runs) > 1:
            low, high = ([extreme(values) for values in zip(*curve.runs)] for extreme in (min, max))
            band = {"x": [*curve.x, *curve.x[::-1]], "y": [*high, *low[::-1]], "fill": "toself"}
            figure.add_scatter(**band, fillcolor=colour, opacity=0.15, line_width=0, hoverinfo="skip", showlegend=False)
        mean = [sum(values) / len(values) for values in zip(*curve.runs)]
        name = run.name if len(curve.runs) == 1 else f"{run.name}, {len(curve.runs)} seeds"
        symbol = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "star")[place % 7]
        figure.add_scatter(
            x=curve.x, y=mean, name=name, line_color=colour, mode="lines+markers", marker={"symbol": symbol, "size": 8}
        )
    figure.update_layout(
        title=measure, height=460, legend={"orientation": "h", "y": -0.2}, margin={"l": 10, "r": 10, "t": 50}, **PAPER
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(gridcolor=utilities.PALE, automargin=True)
    return figure
