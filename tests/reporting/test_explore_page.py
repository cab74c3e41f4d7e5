"""The page that computes: its JavaScript says what Python says, for every setting, and in a real browser, where nothing
may leave the machine, it does what a person asks of it."""

import re
import shutil
import string
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import in_browser
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import classifier_of, decoder_of

from commands.explore import Explore
from common.arguments import Typed
from common.files import UserError
from dataset import Data, load_data
from evaluation.attention import attention_maps
from evaluation.baselines import fitted_linear_models
from evaluation.ngrams import KneserNey
from evaluation.opponents import CLASSIFIER_OPPONENTS
from inference.generate import allowed
from inference.sampling import Sampling
from inference.sentence import padded
from inference.texts import uniform_text
from modules.config import TransformerConfig
from modules.word_vectors import word_pairs
from reporting import explore_page
from reporting.explore_page import browser_ngrams, browser_tensors, packed
from studies.probes.knockouts import ModelPart, knocked_out
from tokenizer import Tokenization, Tokenizer
from training.weights import TrainedModel, load_model, save_model
from transformer import Classifier, Decoder, Vote, build_classifier

WORDS = ["<pad>", "<unk>", "a", "an", "and", "ant", "be", "bee", "band", "Be"]
IDS = [5, 2, 9, 3, 3, 7, 1, 8]  # fewer than the block, which is 12
SMALL = TransformerConfig(n_embd=12, n_head=2, n_layer=2, block_size=12, ff_dim=8)
SHARED: dict[str, dict[str, Any]] = {  # what both kinds of model may have
    "learned": {},
    "sinusoidal": {"positions": "sinusoidal"},
    "rope": {"positions": "rope", "n_head": 3},
    "alibi": {"positions": "alibi", "n_head": 3, "alibi_slope_scale": 2.0},
    "t5": {"positions": "t5"},
    "none": {"positions": "none"},
    "pre": {"norm": "pre", "layer_scale": 0.5},
    "no norm": {"norm": "none", "activation": "gelu"},
    "window": {"positions": "alibi", "window": 2},
    "attention alone": {"ff_dim": 0},
    "no layer": {"n_layer": 0, "activation": "relu"},
    "spelled": {"n_spellings": 7},
}
CLASSIFIERS = SHARED | {
    "masked mean": {"pooling": "masked-mean"},
    "mean and maximum": {"pooling": "mean-max", "head_dim": 0},
    "batch norm": {"batch_norm": True},
    "vote": {"n_members": 2, "phrases": True},
}
DECODERS = SHARED | {"tied": {"tied": True}, "voices": {"voices": True}}


def with_weights(model: Any) -> Any:
    """The model with weights far from where training starts, each -0.4, 0 or 0.4: in 16 bits they are as exact."""
    random = torch.Generator().manual_seed(0)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not name.endswith("slopes"):
            tensor.data.copy_(0.4 * torch.randint(-1, 2, tensor.shape, generator=random))
        if name.endswith(("running_var", "temperature")):
            tensor.data.fill_(1.0 if name.startswith("members") else 1.5)
    return model.eval()


def answers(model: Any, expression: str, value: Any = None, more: dict[str, torch.Tensor] | None = None) -> Any:
    """What an expression of the page's functions gives, in which `model` is this one, packed and unpacked."""
    trained = TrainedModel(model, Tokenizer(WORDS), [])
    shapes, numbers = packed(browser_tensors(trained) | (more or {}))
    described = {"config": vars(model.config), "vocabulary": {"kind": "word", "words": WORDS}, "classes": []}
    described |= {"tensors": shapes, "bytes": numbers, "checks": []}
    return in_browser(f"unpack(input.described).then(model => {expression})", {"described": described, "input": value})


# Of every head the attention weights; without the last head of each layer, what it says on average
SEEN = """(() => {
  const maps = {}, hook = (x, name, head) => {
    if (!off && name.endsWith(".weights")) (maps[name] ??= [])[head] = x.data;
    const isOff = name.endsWith(".heads") && head === model.config.n_head - 1;
    return isOff && off ? map(x, (_, i, j) => model.weights[`${name}.mean`].data[head * x.size + j]) : x;
  };
  let off = false;
  const whole = answer(hook);
  const result = {maps: Object.values(maps), whole};
  off = true;
  return {...result, rest: answer(hook)};
})()"""


def seen(model: Any, answer: str) -> tuple[Any, Any, Any]:
    """Answer and attention of the page, and the answer without heads, whose means are 0.1, 0.2, ..."""
    names = [name for name, _ in model.named_modules() if name.endswith(".attention.heads")]
    heads, size = model.config.n_head, model.config.n_embd // model.config.n_head
    means = {name: (torch.arange(heads * size) / 10).view(heads, 1, size) for name in names}
    result = answers(
        model, SEEN.replace("answer(hook)", answer), more={f"{name}.mean": mean[:, 0] for name, mean in means.items()}
    )
    parts = [ModelPart(layer, "heads", heads - 1) for layer in range(model.config.n_layer)]
    with torch.no_grad(), knocked_out(model, parts, means):
        rest = distribution(model)
    assert torch.tensor(result["rest"]).flatten().tolist() == pytest.approx(rest.flatten().tolist(), abs=1e-4)
    return result["whole"], result["maps"], names


@torch.no_grad()
def distribution(model: Any) -> torch.Tensor:
    """What PyTorch says of IDS: the probability of each class (1, K), or of each next word (T, V)."""
    if isinstance(model, Decoder):
        return model(torch.tensor([IDS])).softmax(dim=-1)[0]
    return model(*padded(model, [torch.tensor(IDS)])).softmax(dim=-1)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_says_what_it_says_in_pytorch(name: str) -> None:
    config = classifier_of(SMALL, **CLASSIFIERS[name])
    pairs = word_pairs(WORDS, torch.tensor([IDS[:4]])) if config.phrases else torch.zeros(0, dtype=torch.long)
    model: Classifier | Vote = with_weights(build_classifier(config, WORDS, 3, pairs=pairs))
    whole, maps, _ = seen(model, f"classify(model, {IDS}, hook)")
    expected = distribution(model)[0].tolist()
    assert whole == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 0.01
    if config.n_layer:
        of_pytorch = attention_maps(model, *padded(model, [torch.tensor(IDS)]))[:, 0]  # (L, H, T, T)
        of_page = torch.tensor(maps[: config.n_layer]).view_as(of_pytorch)
        torch.testing.assert_close(of_page, of_pytorch, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_says_what_it_says_in_pytorch(name: str) -> None:
    model = with_weights(Decoder(decoder_of(SMALL, **DECODERS[name]), WORDS, n_speakers=2))
    answer = f"Array.from({{length: {len(IDS)}}}, (_, i) => softmax(row(decoder(model, {IDS}, {{hook}}), i)))"
    whole, maps, _ = seen(model, answer)
    torch.testing.assert_close(torch.tensor(whole), distribution(model), atol=1e-4, rtol=0)
    if model.config.n_layer:
        of_pytorch = attention_maps(model, torch.tensor([IDS]), torch.tensor([len(IDS)]))[:, 0]
        torch.testing.assert_close(torch.tensor(maps).view_as(of_pytorch), of_pytorch, atol=1e-4, rtol=0)
    if model.voices is not None:
        expected = distribution(model.as_speaker(2))[-1].tolist()
        last = answers(model, f"softmax(decoder(model, {IDS}, {{speaker: 2, onlyLast: true}}).data)")
        assert last == pytest.approx(expected, abs=1e-4)


def test_buckets_of_distance_are_those_of_python() -> None:
    from transformer import T5Positions

    distances = list(range(-300, 301))
    for bidirectional in (True, False):
        expected = T5Positions(1, bidirectional).buckets(torch.tensor(distances)).tolist()
        assert (
            in_browser(f"input.map(distance => bucket(distance, {str(bidirectional).lower()}))", distances) == expected
        )


def test_n_grams_and_what_a_word_is_drawn_by_are_those_of_python() -> None:
    stream = torch.tensor([2, 3, 4, 2, 3, 5, 2, 3, 4, 6, 7, 2, 3, 4, 2, 8, 9, 3])
    ngrams, model = KneserNey.fit(stream, len(WORDS)), with_weights(Decoder(decoder_of(SMALL), WORDS))
    contexts = [[], [2], [2, 3], [9, 9, 2, 3], [3, 9], [1, 1]]
    tables = {f"ngrams.0.{name}": table for name, table in browser_ngrams(ngrams).items()}
    page = answers(model, "input.input.map(context => nextWord(model.ngrams[0], context))", contexts, tables)
    expected = [ngrams.distribution(context).tolist() for context in contexts]
    torch.testing.assert_close(torch.tensor(page), torch.tensor(expected), atol=1e-6, rtol=0)
    for sampling in (Sampling(temperature=0), Sampling(top_k=3, top_p=None), Sampling(temperature=1.5, top_p=0.7)):
        shares = torch.tensor(expected[2])
        weights = allowed(shares.log(), sampling)
        asked = {"temperature": sampling.temperature, "top_k": sampling.top_k or 0, "top_p": sampling.top_p or 1}
        page = in_browser("allowed(input.shares, input.sampling)", {"shares": shares.tolist(), "sampling": asked})
        assert page == pytest.approx((weights / weights.sum()).tolist(), abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_models_name_the_classes_of_python(data: Data, n_classes: int) -> None:
    rows = [i for i, label in enumerate(data.train.labels.tolist()) if label < n_classes]
    ids, lengths, labels = data.train.batch(torch.tensor(rows))
    corpus = replace(data.corpus, train=[data.corpus.train[i] for i in rows], labels=data.corpus.labels[:n_classes])
    some = replace(data, corpus=corpus, train=replace(data.train, ids=ids, lengths=lengths, labels=labels))
    texts = [*(row.text for row in data.corpus.test), "We, WE 漢字 hope; nobody-else!", "the the the land"]
    page = in_browser(
        "unpackLinear(input.linear).then(linear => input.texts.map(text => opponents(linear, text)))",
        {"linear": explore_page.linear_contents(some), "texts": texts},
    )
    predicted = fitted_linear_models([row.text for row in corpus.train], labels.tolist())(texts)
    for number, name in enumerate(explore_page.LINEAR):
        assert [by_model[number]["label"] for by_model in page] == predicted[name].tolist()
        assert page[0][number]["name"] == CLASSIFIER_OPPONENTS[name]


# ----------------------------------------------------------------------------------------------------------- tokenizer
PIECES = st.sampled_from(
    [
        *string.printable,
        *"–—‘’“”„«»…éßΩЖ漢あ١²½\u00a0\u2028\u200d\ufeff\ue000😀",  # noqa: RUF001
        *("cannot", "gonna", "wanna", "'tis", "d'ye", "Mr.", "U.S.", "e.g.", "J.", "3.14", "n't", "'ll", "'S"),
        *("...", "--", "''", "``", "<unk>", "<pad>", "@-@", "We", "we"),
    ]
)
TYPED = st.lists(PIECES, max_size=16).map("".join)


@pytest.mark.parametrize("kind", ["word", "bpe", "character"])
@settings(max_examples=20)
@given(texts=st.lists(TYPED, min_size=30, max_size=30))
def test_text_falls_into_the_tokens_of_python(kind: Any, texts: list[str]) -> None:
    training = ["We hope, we can't rest: we work. “Yes”, we can!", "The bee can, the bees can; the theme."] * 5
    tokenizer = Tokenizer.build(training, tokenization=Tokenization(kind))
    vocabulary = tokenizer.to_json() | {"words": tokenizer.words}
    expression = "input.texts.map(text => makeTokenizer(input.vocabulary).read(text).ids)"
    page = in_browser(expression, {"vocabulary": vocabulary, "texts": texts})
    assert page == [tokenizer.encode(uniform_text(text, tokenizer)) for text in texts]


def test_every_row_and_line_of_the_data_falls_into_the_words_of_python(data: Data) -> None:
    texts = [*(row.text for row in [*data.corpus.train, *data.corpus.test]), *explore_page.SENTENCES]
    assert in_browser("input.map(splitWords)", texts) == data.tokenizer.split_all(texts)


# ---------------------------------------------------------------------------------------------------------- the command
def explore(folder: Path, data_dir: Path, runs: Path, models: Sequence[Path] = ()) -> Path:
    """The file that the command writes."""
    Explore(tuple(models), runs, data_dir, folder).run(Typed(("explore",)))
    return folder / "orator.html"


def test_two_models_of_a_kind_and_a_file_too_large_are_refused(
    trained_runs: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [trained_runs / "part1" / f"classifier-seed{seed}.safetensors" for seed in (0, 1)]
    with pytest.raises(UserError, match="a second classifier"):
        explore(tmp_path, data_folder, trained_runs, models)
    monkeypatch.setattr(explore_page, "MOST", 1000)
    with pytest.raises(UserError, match=r"the classifier 0\.\d MB and the decoder 0\.\d MB"):
        explore(tmp_path, data_folder, trained_runs)


# ------------------------------------------------------------------------------------------------------------- browser
CHROMIUM = shutil.which("chromium") or ""
TEXT = "we hope for change ."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's browser."""
    api = pytest.importorskip("playwright.sync_api", reason="drives a browser: pip install playwright")
    if not CHROMIUM:
        pytest.skip("there is no chromium; apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, trained_runs: Path, data_folder: Path) -> Path:
    """The page of the tiny models, whose first speaker has a name that is markup and whose second is written from right
    to left."""
    folder = tmp_path_factory.mktemp("page")
    names = ["<script>alert(1)</script>", "יצחק רבין", "G. H. W. Bush"]
    home = shutil.copytree(data_folder, folder / "data")
    (home / "labels.tsv").write_text("".join(f"{label}\t{name}\n" for label, name in enumerate(names)))
    fingerprint = load_data(home, 8).corpus.fingerprint
    for task in ("part1", "part2"):
        trained = load_model(min((trained_runs / task).glob("*.safetensors")))
        if trained.class_names:
            with torch.no_grad():
                trained.model.head[-1].weight.mul_(100)  # it is hardly trained: so one sees what changes
            trained.class_names = names
        trained.data = fingerprint
        save_model(folder / f"{task}.safetensors", trained)
    return explore(folder, home, folder)


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["1280", "390"])
def page(request: pytest.FixtureRequest, chromium: Any, file: Path) -> Iterator[Any]:
    """The page of somebody who has a computer or a phone, and no network."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    page = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(file.as_uri())
    page.locator("#text").fill(TEXT)
    page.locator("#words", has_text=re.compile("^we.*change.*\\.", re.DOTALL)).wait_for()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in asked if not url.startswith("file:")] == []
    assert errors == []
    context.close()


def test_the_page_shows_that_it_computes_what_pytorch_does(page: Any) -> None:
    page.locator("#proof", has_text="Yes: ").wait_for(timeout=30_000)
    assert page.locator("#text").input_value() == TEXT
    page.goto(page.url.split("#")[0] + "#we%20rest")
    page.locator("#words .word").nth(1).wait_for()
    assert page.locator("#words .word").all_inner_texts()[0].startswith("we")


def test_who_said_it_without_a_word(page: Any) -> None:
    name = page.locator("#bars .bar span").first
    assert name.inner_text() == "<script>alert(1)</script>"
    assert page.locator("#bars .bar span[dir=auto]").count() == 3
    before = page.locator("#bars .bar b").all_inner_texts()
    page.locator("#words .word").nth(3).click()
    page.locator("#words .word.out").wait_for()
    assert page.locator("#bars .bar b").all_inner_texts() != before
    page.locator("#words .word.out").press("Enter")
    assert page.locator("#bars .bar b").all_inner_texts() == before


def test_attention_by_keyboard_and_without_a_head(page: Any) -> None:
    page.locator(".map-button").nth(3).press("Enter")
    assert page.locator("#map-title").inner_text() == "Layer 2, head 2"
    page.keyboard.press("Shift+Tab")  # whoever goes by keyboard is still where they were
    page.keyboard.press("Enter")
    assert page.locator("#map-title").inner_text() == "Layer 1, head 2"
    page.locator(".map-button").nth(3).click()
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.locator("#looks").inner_text().startswith("“hope” looks at “hope”: ")
    page.locator("#map tbody tr").nth(2).locator("td").nth(5).click()
    assert page.locator("#looks").inner_text().startswith("“for” looks at “padding”: ")
    page.get_by_label("layer 1, head 2", exact=True).press(" ")
    page.locator("#without h3", has_text="1 off").wait_for()
    sides = [page.locator("#without > div").nth(i).locator("b").all_inner_texts() for i in (0, 1)]
    assert sides[0] != sides[1]
    page.locator("#reader button", has_text="decoder").click()
    page.locator("#without h3", has_text="The next word").wait_for()


def test_surprise_and_how_the_text_goes_on(page: Any) -> None:
    page.locator("#nats .word small").nth(4).wait_for()
    page.locator("#nats .word").nth(1).click()
    page.locator("#expected h3", has_text="In place of “hope”").wait_for()
    assert page.locator("#expected .bar").count() == 20
    for n in (1, 2):
        page.locator("#draw").click()
        assert len(page.locator("#continued mark").inner_text().split()) == n
    drawn = page.locator("#continued mark").inner_text()
    page.locator("#again").click()
    page.locator("#draw").click()
    page.locator("#draw").click()
    assert page.locator("#continued mark").inner_text() == drawn
    page.locator("#guesses button").first.click()
    assert page.locator("#answer").inner_text().startswith("It was ")


def test_a_thousand_words_are_read_and_what_is_not_is_said(page: Any) -> None:
    page.locator("#text").fill("gizmo " + "we hope " * 500)
    page.locator("#reading", has_text="reads 8 of 1001 words").wait_for(timeout=3000)
    assert "gizmo" in page.locator("#reading").inner_text()
    assert page.locator("#words .word.unread").count() == 993
    page.locator("#perplexity", has_text="Perplexity").wait_for(timeout=20_000)
