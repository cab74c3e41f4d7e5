"""The tokenizers command: each kind of tokens gets its own runs and numbers, and bits per byte compare them."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec.structs import replace
from studies.results import TokenizersResults
from studies.tokenizers import compare_tokenizers, plan, together
from tiny import classifier_of, decoder_of, perform

from common.files import UserError
from dataset import Data, Stream, encode, validation_text
from evaluation.opponents import language_baselines
from evaluation.statistics import paired_difference, paired_ratio
from reporting import documents, tables, terminal
from tokenizer import WORDS, Tokenization
from training.recipe import Recipe, Run, TrainingConfig
from training.records import LanguageScores
from training.runs import Folder
from transformer import TransformerConfig

SMALL = TransformerConfig(n_embd=8, n_layer=1, block_size=8, ff_dim=8, initialisation="pytorch")
TRAINING = TrainingConfig(batch_size=8, learning_rate=1e-2)
RECIPES: Any = {
    "classifier": Recipe("classifier", classifier_of(SMALL), TRAINING, duration=2),
    "decoder": Recipe("decoder", decoder_of(SMALL), TRAINING, duration=10),
}
KINDS = [Tokenization("bpe", 300), Tokenization("character")]


def study(data: Data, tmp_path: Path, validation: bool = False) -> TokenizersResults:
    folder = Folder(tmp_path, torch.device("cpu"))
    return compare_tokenizers(
        KINDS, (8, 16), "report", RECIPES, (3, 4), validation, data, folder, "python main.py tokenizers", 1
    )


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.slow
def test_each_kind_and_block_is_measured_by_its_own_runs(data: Data, tmp_path: Path, validation: bool) -> None:
    results = study(data, tmp_path, validation)
    rows = {(row.kind, row.block_size): row for row in results.rows}
    assert list(rows) == [(kind, size) for size in (8, 16) for kind in ("word", "bpe", "character")]
    row, words = rows["bpe", 16], rows["word", 16]
    encoded = encode(data.corpus, 16, KINDS[0])
    runs = plan(encoded, RECIPES, (3, 4), validation)
    assert [(run.seed, run.recipe.architecture.block_size) for run in runs] == [(3, 16), (4, 16)] * 2
    records = [perform(run, encoded, Folder(tmp_path / "again", torch.device("cpu"))) for run in runs]
    assert row.accuracy == [record["test"]["all"]["accuracy"] for record in records[:2]]
    texts = [validation_text(encoded, seed) for seed in (3, 4)] if validation else [encoded, encoded]
    for record, bits, text in zip(records[2:], row.bits_per_byte, texts):
        nats = sum(
            math.log(record["iterations"][-1]["perplexity"][name]) * len(stream.ids)
            for name, stream in text.test_streams.items()
        )
        assert bits == pytest.approx(nats / math.log(2) / sum(stream.n_bytes for stream in text.test_streams.values()))
    assert len(row.trigram) == (2 if validation else 1)
    assert row.trigram[0] == together(language_baselines(texts[0])["ngram"], texts[0].test_streams)
    assert row.vocabulary_size == len(encoded.tokenizer)
    assert row.cut == 100 * encoded.train.n_truncated / 60
    assert language_baselines(texts[0]).keys() == {"ngram", "ngram_5"}
    told = language_baselines(validation_text(encode(data.corpus, 16, WORDS), 3) if validation else data)["ngram_unk"]
    assert words.trigram[0] == together(told, texts[0].test_streams)
    shared = 0.25 if validation else 0.0  # folds share training rows
    assert row.accuracy_difference == paired_difference(row.accuracy, words.accuracy, shared)
    assert row.bits_ratio == paired_ratio(row.bits_per_byte, words.bits_per_byte, shared)
    assert words.bits_ratio is None
    assert results.data == data.corpus.about()
    written = msgspec.json.decode((tmp_path / "results.json").read_bytes(), type=TokenizersResults)
    assert written == results


def test_texts_count_by_their_bytes() -> None:
    streams = {"a": Stream(torch.zeros(1), 10, 0), "b": Stream(torch.zeros(1), 30, 0)}
    scores = {name: LanguageScores(9.0, 8.0, bits, 1.0) for name, bits in (("a", 4.0), ("b", 2.0))}
    assert together(scores, streams) == pytest.approx(2.5)


def test_a_run_of_other_tokens_is_another_run(data: Data, tmp_path: Path) -> None:
    folder = Folder(tmp_path, torch.device("cpu"))
    run = Run("decoder", RECIPES["decoder"], 0)
    perform(run, encode(data.corpus, 8, Tokenization("bpe", 300)), folder)
    for other, difference in (
        (Tokenization("bpe", 280), "vocabulary_size is 300 there and 280 here"),
        (Tokenization("character"), "tokenizer is bpe there and character here"),
        (WORDS, "tokenizer is"),
    ):
        with pytest.raises(UserError, match=difference):
            perform(run, encode(data.corpus, 8, other), folder)


def test_tables_lead_with_bits_per_byte_and_hold_no_perplexity(data: Data, tmp_path: Path) -> None:
    results = study(data, tmp_path)
    decoders, classifiers = tables.tables_of_tokenizers(results)
    assert list(decoders.header)[:4] == ["tokens (vocabulary)", "block", "bits per byte", "against words"]
    n_words = results.rows[0].vocabulary_size
    assert [row[0] for row in decoders.rows][:3] == [
        f"words ({n_words})",
        *(f"{name} ({row.vocabulary_size})" for name, row in zip(("BPE tokens", "characters"), results.rows[1:])),
    ]
    assert [row[1] for row in classifiers.rows] == ["8"] * 3 + ["16"] * 3
    assert not any("perplexity" in cell for table in (decoders, classifiers) for cell in table.header)
    assert "measured on the test set" in decoders.note
    path = tmp_path / "tokenizers.md"
    path.write_text(
        "<!-- tokenizers-validation -->\n<!-- /tokenizers-validation -->\n<!-- tokenizers -->\n<!-- /tokenizers -->\n"
    )
    documents.fill_tokenizers(path, results)
    text = path.read_text(encoding="utf-8")
    assert "From `python main.py tokenizers`" in text
    assert "seeds 3, 4; commit" in text
    assert "bits per byte" in terminal.tokenizers_text(results)
    documents.fill_tokenizers(path, replace(results, validation=True))
    first, second = path.read_text(encoding="utf-8").split("<!-- /tokenizers-validation -->")
    assert "holds out of the training files" in first
    assert "holds out of the training files" not in second
    assert text.endswith(second)


def test_one_task_alone_has_its_table_alone(data: Data, tmp_path: Path) -> None:
    folder = Folder(tmp_path, torch.device("cpu"))
    for task, title in (("decoder", "How surprising is it?"), ("classifier", "Who said it?")):
        recipes: Any = {task: RECIPES[task]}
        results = compare_tokenizers(KINDS[:1], (8,), "report", recipes, (3,), False, data, folder, "command", 1)
        assert [one.title for one in tables.tables_of_tokenizers(results)] == [title]
