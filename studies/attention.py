"""Attention statistics over the whole test set, for every seed of a study."""

import functools
from collections.abc import Iterator, Mapping, Sequence

import torch

from dataset import Data
from evaluation import attention
from studies.results import AttentionStatistics, Kind, classifier_runs
from studies.workers import share_out
from training.recipe import Run, Task
from training.records import TrainedRun
from training.runs import Folder, identity_of, remembered
from training.weights import load_model
from transformer import Classifier, Decoder, Vote


def attention_of(
    records: Mapping[tuple[str, str, int], TrainedRun],
    runs: Mapping[tuple[str, str, int], Run],
    data: Data,
    folder: Folder,
    n_workers: int,
) -> dict[Kind, list[AttentionStatistics]]:
    """Attention statistics of every seed's model with learned positions; of classifiers only those that trained."""

    def learned(task: Task) -> list[tuple[str, str, int]]:
        return [key for key in runs if key[:2] == (task, "learned")]

    job = functools.partial(attention_over_test, data=data, folder=folder)
    classifiers = learned("classifier")
    found = classifier_runs([records[key] for key in classifiers])
    trained = [key for key, run in zip(classifiers, found) if run.trained]
    wanted: dict[Kind, list[tuple[str, str, int]]] = {"encoder": trained or classifiers, "decoder": learned("decoder")}
    return {
        kind: share_out(job, [runs[key] for key in keys], n_workers, f"attention of the {kind}")
        for kind, keys in wanted.items()
    }


def attention_over_test(run: Run, data: Data, folder: Folder) -> AttentionStatistics:
    """`attention_statistics` by layer and head, over all the test rows, or windows of all the test texts.

    An encoder that does not mask padding looks at it, too: the share of attention that padding gets is a number of its
    own, and the others are of what the tokens get, made to sum to 1.
    """

    @torch.no_grad()
    def compute() -> AttentionStatistics:
        model = load_model(folder.weights(run), run.recipe.task).model
        sums: dict[str, torch.Tensor] = {}
        n_tokens = 0
        for maps, lengths in batches(model, data):
            inside = torch.arange(maps.shape[-1]) < lengths[:, None]  # (B, T)
            on_tokens = (maps * inside[:, None, None]).sum(-1)  # (L, B, H, T)
            here = attention.attention_statistics(
                maps * inside[:, None, None] / on_tokens[..., None].clamp(min=1e-9),
                lengths,
                run.recipe.task == "decoder",
            )
            here["padding"] = ((1 - on_tokens) * inside[:, None]).sum((1, 3)) / inside.sum()
            attention.check_attention(maps)
            for name, values in here.items():
                sums[name] = sums.get(name, 0) + values * int(lengths.sum())
            n_tokens += int(lengths.sum())
        return AttentionStatistics(**{name: (values / n_tokens).tolist() for name, values in sums.items()})

    path = folder.path / "runs" / f"{run.name}.attention.json"
    config = run.recipe.architecture
    size = [config.n_head] * config.n_layer  # of each statistic
    names = AttentionStatistics.__struct_fields__
    return remembered(
        path,
        AttentionStatistics,
        identity_of(run, data, folder),
        compute,
        lambda found: all([len(layer) for layer in getattr(found, name)] == size for name in names),
    )


def batches(
    model: Classifier | Vote | Decoder, data: Data, batch_size: int = 64
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Attention maps (L, B, H, T, T) and lengths (B,) over a classifier's test rows, a decoder's test texts."""
    if not isinstance(model, Decoder):
        for items in torch.arange(len(data.test.labels)).split(batch_size):
            ids, lengths, _ = data.test.batch(items, cut=model.masks_padding)
            yield attention.attention_maps(model, ids, lengths), lengths
        return
    for stream in data.test_streams.values():
        width = min(model.config.block_size, len(stream.ids))
        windows = stream.ids[: len(stream.ids) // width * width].view(-1, width)
        for ids in windows.split(batch_size):
            lengths = torch.full((len(ids),), width)
            yield attention.attention_maps(model, ids, lengths), lengths


def attention_means(seeds: Sequence[AttentionStatistics]) -> AttentionStatistics:
    """Each attention statistic by layer and head, its mean over seeds."""
    names = AttentionStatistics.__struct_fields__
    means = {name: torch.tensor([getattr(seed, name) for seed in seeds]).mean(dim=0).tolist() for name in names}
    return AttentionStatistics(**means)
