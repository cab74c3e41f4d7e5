"""The page to play with, by gradio: what a person does in it, and which view of reporting/explore_views.py answers.

Nothing of one person is kept for another: every answer is made of what the asking page sends. Nothing is asked of
anywhere but this machine.
"""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read where gradio is imported

import gradio as gr
import plotly.graph_objects as go

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
STYLE = "footer, .show-api { display: none !important; } .gradio-container { max-width: 80rem !important; }"
CLICK = """element.addEventListener("click", event => {
  const map = event.target.closest("button");
  if (!map) return;
  element.querySelectorAll("button").forEach(other => other.setAttribute("aria-pressed", other === map));
  trigger("click", {layer: Number(map.dataset.layer), head: Number(map.dataset.head)});
});"""

on = functools.partial(gr.on, api_visibility="private")  # what follows an event: for this page alone


def page(shelf: Shelf) -> gr.Blocks:
    """All tabs; what they show at first is made now, so that it is there when they are opened."""
    classifiers, decoders = shelf.names("classifier"), shelf.names("decoder")
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(views.in_view(f"<h1>{TITLE}</h1>"))
        with gr.Tab("Who said it?"):
            view_tab("Who said it?", classifiers, lambda *asked: views.who(explore.who_said(shelf, *asked)))
        with gr.Tab("Attention"):
            attention_tab(shelf, [*classifiers, *decoders])
        with gr.Tab("How surprising?"):
            view_tab("How surprising?", decoders, lambda *asked: views.surprise_view(explore.surprise(shelf, *asked)))
        with gr.Tab("Continue"):
            continue_tab(shelf, decoders)
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
        if error.errno is not None:  # not gradio's word for a port that it cannot have
            raise
        raise UserError(f"port {port} is taken, or closed to you; choose another by --port") from error
    return str(address)


def answered(make: Callable[[], str]) -> str:
    """The view that `make` gives, or the line that says what is wrong with the input."""
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
def view_tab(question: str, names: list[str], view: Callable[[str, str], str]) -> None:
    """One view of a text, by the name of the model that is asked, and a button that asks."""

    def answer(name: str, text: str) -> str:
        return answered(lambda: view(name, text))

    model, text = model_and_text(names)
    button = gr.Button(question, variant="primary")
    shown = gr.HTML(answer(names[0], REPORT_SENTENCE))
    on([button.click, text.submit, model.input], answer, [model, text], shown)


# ----------------------------------------------------------------------------------------------------------- attention
def attention_tab(shelf: Shelf, names: list[str]) -> None:
    """All maps at a glance, one of them large, and what the model says without some heads."""

    def heads_of(name: str) -> list[str]:
        return [part.name for part in explore.heads(shelf, name)]

    def change(asked: tuple[str, str], off: list[str]) -> str:
        name, text = asked
        parts = [part for part in explore.heads(shelf, name) if part.name in off]
        what = "Next word" if isinstance(shelf.model(name).model, Decoder) else "Who said it"
        return answered(lambda: views.change(explore.without(shelf, name, text, parts), what))

    def enlarge(asked: tuple[str, str], event: gr.EventData) -> go.Figure:
        return large_map(explore.looks(shelf, *asked), event.layer, event.head)

    def show(name: str, text: str) -> tuple[Any, ...]:
        maps, large, said = "", None, ""
        try:
            looks = explore.looks(shelf, name, text)
            maps, large, said = views.maps(looks), large_map(looks, 0, 0), change((name, text), [])
        except UserError as error:
            maps = views.wrong(str(error))
        return views.in_view(maps), large, said, gr.update(choices=heads_of(name), value=[]), (name, text)

    model, text = model_and_text(names)
    button = gr.Button("Show attention", variant="primary")
    maps, first_map, first_answer, _, first_asked = show(names[0], REPORT_SENTENCE)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            grid = gr.HTML(maps, js_on_load=CLICK)
        with gr.Column(scale=3, min_width=320):
            large = gr.Plot(first_map, show_label=False)
    off = gr.CheckboxGroup(heads_of(names[0]), label="Switch heads off")
    said, asked = gr.HTML(first_answer), gr.State(first_asked)
    on([button.click, text.submit, model.input], show, [model, text], [grid, large, said, off, asked])
    on([grid.click], enlarge, asked, large)
    on([off.input], change, [asked, off], said)


def large_map(looks: Looks, layer: int, head: int) -> go.Figure:
    """One map, with the two words and the weight where one points."""
    weights = looks.maps[layer, head].numpy()  # (T, S)
    n_words, gap = len(looks.words), 1 if len(looks.columns) <= 20 else 0
    picture = go.Heatmap(
        z=weights,
        customdata=[[[word, column] for column in looks.columns] for word in looks.words],
        hovertemplate="%{customdata[0]} looks at %{customdata[1]}: %{z:.3f}<extra></extra>",
        colorscale=[[i / (len(views.SCALE) - 1), f"rgb{color}"] for i, color in enumerate(views.SCALE)],
        zmin=0,
        zmax=float(weights.max()),
        colorbar={"orientation": "h", "thickness": 12, "y": 1, "yanchor": "bottom"},
        xgap=gap,
        ygap=gap,
    )
    paper = {"paper_bgcolor": "white", "plot_bgcolor": "white", "font": {"color": utilities.INK, "size": 14}}
    title, height = f"layer {layer + 1}, head {head + 1}: weights", min(900, 260 + 24 * n_words)
    figure = go.Figure(picture)
    figure.update_layout(title=title, height=height, margin={"l": 10, "r": 10, "t": 100, "b": 10}, **paper)
    columns = looks.columns[: n_words + 1] + [""] * (len(looks.columns) - n_words - 1)  # padding is named once
    for axis, title, names in (
        (figure.layout.xaxis, "is looked at", columns),
        (figure.layout.yaxis, "looks", looks.words),
    ):
        axis.update(title=title, tickvals=list(range(len(names))), ticktext=names, automargin=True)
    figure.update_xaxes(tickangle=-60)
    figure.update_yaxes(autorange="reversed")
    return figure


# ------------------------------------------------------------------------------------------------------------ continue
def continue_tab(shelf: Shelf, names: list[str]) -> None:
    """A word at a time, to guess at, or many as they come."""

    def words(
        n: int, name: str, text: str, temperature: float, top_p: float, top_k: float, seed: float | None
    ) -> Iterator[str]:
        sampling = Sampling(n + 1, temperature, int(top_k) or None, top_p, int(seed or 0))
        for sides in explore.continuations(shelf, name, text, sampling):
            yield views.continuation(text, sides)

    def after(n: int, *settings: Any) -> tuple[int, str]:
        return n, answered(lambda: list(words(n, *settings))[-1])

    def running(*settings: Any) -> Iterator[tuple[int, str]]:
        try:
            for n, view in enumerate(words(N_WORDS, *settings)):
                yield n, views.in_view(view)
        except UserError as error:
            yield 0, views.in_view(views.wrong(str(error)))

    model, text = model_and_text(names, text="My fellow Americans")
    with gr.Row():
        temperature = gr.Slider(0, 2, Sampling.temperature, step=0.1, label="Temperature (0: always the likeliest)")
        top_p = gr.Slider(0.05, 1, Sampling.top_p, step=0.05, label="Top-p: of the likeliest that have this together")
        top_k = gr.Slider(0, 100, 0, step=1, label="Top-k: of the k likeliest (0: of all)")
        seed = gr.Number(0, label="Seed", precision=0)
    settings = [model, text, temperature, top_p, top_k, seed]
    with gr.Row():
        next_word, run, again = (gr.Button(label) for label in ("Next word", f"Go on: {N_WORDS} words", "Start again"))
    n = gr.State(0)
    shown = gr.HTML(after(0, *(setting.value for setting in settings))[1])
    on([next_word.click], lambda n, *settings: after(n + 1, *settings), [n, *settings], [n, shown])
    on([run.click], running, settings, [n, shown])
    changed = [model.input, text.submit, text.blur, *(setting.change for setting in settings[2:])]
    on([again.click, *changed], lambda *settings: after(0, *settings), settings, [n, shown], trigger_mode="always_last")
