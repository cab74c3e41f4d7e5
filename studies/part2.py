"""Part 2: the decoder. Tables 2 and 3, Figures 4 to 7, the n-gram models beside it."""

import time
from collections.abc import Sequence
from functools import partial

from common.files import UserError, write_json
from dataset import Data
from inference.attention import draw_attention
from studies.engine import train_meanwhile
from studies.figures import draw_decoder
from studies.opponents import language_baselines
from studies.published import sentence_of
from studies.recipes import label_of
from studies.results import Part2Results, decoder_runs, perplexities
from training.recipe import Recipe, Run, customise
from training.runs import Folder, public
from training.weights import load_model


def part2(
    recipe_name: str, recipe: Recipe, ff_dims: Sequence[int], seed: int, data: Data, folder: Folder, n_workers: int = 1
) -> Part2Results:
    """Train the decoder at each feed-forward size; Tables 2 and 3, Figures 4 to 7, the n-gram model beside it.

    Up to `n_workers` models train at the same time, a process and a thread each.
    """
    started = time.perf_counter()
    if not ff_dims or len(set(ff_dims)) < len(ff_dims):
        raise UserError("ff_dims must be one or more different sizes, such as 256 100")
    runs = {size: Run(f"decoder-ff{size}", customise(recipe, ff_dim=size), seed) for size in ff_dims}
    records, ngrams = train_meanwhile(runs, data, folder, n_workers, partial(language_baselines, data))
    models = decoder_runs(list(records.values()))
    results = Part2Results(
        command="part2",
        data=data.corpus.about(),
        recipe=recipe_name,
        label=label_of(recipe_name, recipe, data.tokenizer.tokenization.tokens),
        seed=seed,
        vocabulary_size=len(data.tokenizer),
        tokenizer=data.tokenizer.tokenization.kind,
        protocol=models[0].protocol,
        models=list(map(public, models)),
        baselines=perplexities(ngrams),
        ngram_scores=ngrams,
        unk_rate={text: scores.unk_rate for text, scores in ngrams["ngram"].items()},
        total_seconds=time.perf_counter() - started,
    )
    write_json(folder.path / "results.json", results)
    figures = folder.path / "figures"
    draw_decoder(figures, models[:1], results.baselines["ngram"], results.label, results.tokenizer)
    trained = load_model(folder.weights(runs[ff_dims[0]]), "decoder")
    draw_attention(figures, trained, sentence_of(data.corpus), first_figure=6, label=results.label)
    return results
