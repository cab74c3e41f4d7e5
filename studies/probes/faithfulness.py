"""Are the words that an explanation names the ones that decide? Without them the probability should fall."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from common.files import UserError
from common.randomness import generator
from dataset import Data
from evaluation.statistics import Estimate, paired_difference
from inference.explain import attention_received, integrated_gradients, leave_one_out, probabilities, without_words
from training.weights import TrainedModel
from transformer import Classifier, Vote

DELETED = (1, 2, 3, 5)  # words at a time
DRAWS = 10  # of random words, a row
STEPS = 32  # of integrated gradients: enough to rank words
METHODS = {
    "gradients": "integrated gradients",
    "left out": "leave-one-out",
    "attention": "most attention",
    "random": "random words",
}


class Fall(msgspec.Struct, frozen=True):
    """By how many points the probability of the model's answer falls, mean over rows, and how much further than
    without random words and than without those of most attention."""

    method: str  # a key of METHODS
    deleted: int  # words
    fall: Estimate
    against_random: Estimate | None
    against_attention: Estimate | None


class Faithfulness(msgspec.Struct, frozen=True):
    """The falls by method and number of words deleted, over the test rows that have that many words and one more."""

    n_rows: dict[int, int]  # by words deleted
    falls: list[Fall]


@dataclass(frozen=True)
class Row:
    """One test row: its words, the model's answer, and each word's importance for it, by method."""

    ids: Tensor  # (T,)
    answer: int
    importance: dict[str, Tensor]  # each (T,)


def faithfulness(trained: TrainedModel[Classifier | Vote], data: Data) -> Faithfulness:
    """How far the probability of the model's answer falls, row by row of the test set, without the words that each
    method names most."""
    rows = list(explained_rows(trained.model, data))
    random = generator(0, "faithfulness")
    n_rows, falls = {}, []
    for k in DELETED:
        long = [row for row in rows if len(row.ids) > k]
        if not long:
            continue
        n_rows[k] = len(long)
        by_row = [falls_of(trained.model, row, k, random) for row in long]
        by_method = {method: [of_row[method] for of_row in by_row] for method in by_row[0]}
        for method, values in by_method.items():
            others = {name: by_method[name] for name in ("random", "attention") if name in by_method and name != method}
            against = {name: paired_difference(values, other) for name, other in others.items()}
            fall = paired_difference(values, [0.0] * len(values))
            falls.append(Fall(method, k, fall, against.get("random"), against.get("attention")))
    if not falls:
        raise UserError(f"{data.corpus.directory}: no test row has two words, so none can be deleted; use longer rows")
    return Faithfulness(n_rows, falls)


def explained_rows(model: Classifier | Vote, data: Data) -> Iterator[Row]:
    """The test rows, each with the importance of its words."""
    for padded, length in zip(data.test.ids, data.test.lengths.tolist()):
        ids = padded[:length]
        answer = int(probabilities(model, [ids])[0].argmax())
        importance = {
            "gradients": integrated_gradients(model, ids, [answer], STEPS)[:, 0],
            "left out": leave_one_out(model, ids)[:, answer],
        }
        if model.config.n_layer:
            importance["attention"] = attention_received(model, ids)
        yield Row(ids, answer, importance)


def falls_of(model: Classifier | Vote, row: Row, k: int, random: torch.Generator) -> dict[str, float]:
    """By how many points the probability of the answer falls without the `k` words that each method names most, and
    without random ones, on average."""
    named = [values.topk(k).indices for values in row.importance.values()]
    drawn = [torch.randperm(len(row.ids), generator=random)[:k] for _ in range(DRAWS)]
    texts = [row.ids, *(without_words(row.ids, deleted.tolist()) for deleted in [*named, *drawn])]
    whole, *rest = (100 * probabilities(model, texts)[:, row.answer]).tolist()
    by_name = [whole - value for value in rest]
    return {**dict(zip(row.importance, by_name)), "random": sum(by_name[len(named) :]) / DRAWS}
