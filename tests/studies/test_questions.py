"""Every question of the catalogue: whom it compares with whom, in which runs, and which models it builds."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import made_up
import pytest

from common.files import UserError
from dataset import Data
from evaluation.opponents import CLASSIFIER_OPPONENTS, DECODER_OPPONENTS
from speechesdataset.folder import TOGETHER
from studies.answers import Answers
from studies.catalogue import questions
from studies.catalogue.ingredients import CHANGES, chosen
from studies.catalogue.published import PUBLISHED_DURATION, REPORT_SENTENCE, sentence_of
from studies.catalogue.recipes import RECIPES
from studies.effects import EACH_GROUP, EACH_TEST_TEXT, subsets_of
from studies.question import Question, Study
from studies.settings import MEASURES, Score
from studies.workers import file_name
from tokenizer import WORDS, Tokenization
from training.kinds import KINDS
from training.recipe import Recipe, Run, Task, customise, settings_of
from transformer import Decoder, build_classifier

TASKS: tuple[Task, ...] = ("classifier", "decoder")
REPORT, BEST = RECIPES["report"], RECIPES["best"]
TOKENS = [Tokenization("bpe", 300), Tokenization("character")]


def comparison(
    task: Task, *vary: str, base: str | None = None, variants: Sequence[str] = (), **fields: Any
) -> Question:
    settings = questions.varied(task, vary, base, variants)
    return questions.which_is_better(REPORT[task], settings, fields.get("measure"), fields.get("on_folds", False))


CATALOGUE: dict[str, Question] = {
    "part1": questions.who_said_it(REPORT["classifier"]),
    "part2": questions.how_surprising(REPORT["decoder"], (256, 100)),
    **{f"report, {each.name}": each for each in questions.exploration(REPORT, report=True)},
    **{f"part3, {each.name}": each for each in questions.exploration(BEST)},
    **{f"compare, {task}": comparison(task, "positions=learned,alibi", "n_layer=1,2") for task in TASKS},
    **{f"validate, {task}": comparison(task, "dropout=0,0.1", on_folds=True) for task in TASKS},
    **{f"ablation, {task}": questions.ingredients(task, list(CHANGES[task])) for task in TASKS},
    "positions": questions.positions_over_time(REPORT["decoder"], (500, 1500)),
    **{f"measure, {task}": questions.measured(task) for task in TASKS},
    **{
        f"tokenizers, {task}": questions.kinds_of_tokens(REPORT[task], TOKENS, (8, 16), on_folds=True) for task in TASKS
    },
}


def names_of_runs(question: Question, *variants: str, seed: int = 3) -> list[str]:
    runs = question.runs(dict.fromkeys(question.variants, 1), seed)
    return [runs[variant, seed].name for variant in variants or question.variants]


@pytest.mark.parametrize("question", CATALOGUE.values(), ids=CATALOGUE)
def test_a_question_names_what_it_has_and_its_models_can_be_built(question: Question, data: Data) -> None:
    opponents = CLASSIFIER_OPPONENTS if question.kind.name == "classifier" else DECODER_OPPONENTS
    if not question.has_opponents:
        opponents = {}
    assert {name for pair in question.pairs for name in pair} <= question.variants.keys() | opponents.keys()
    assert len(set(question.pairs)) == len(question.pairs)
    of_probes = [probe.variants for probe in question.probes]
    for names in (question.brief, question.lengths, question.tokenizations, *of_probes):
        assert set(names) <= question.variants.keys()
    assert {measure.name for measure, _ in question.measured} <= question.kind.measures.keys()
    assert list(subsets_of(question, made_up.data()))  # on some subset
    assert {question.name} <= set(Answers.__struct_fields__)  # where its runs will stand
    for recipe in question.variants.values():
        assert KINDS[recipe.task] is question.kind
        small: Any = {"n_embd": 8, "n_head": 2} if recipe.architecture.n_head == 2 else {}
        architecture: Any = customise(recipe, **small).architecture
        words = data.tokenizer.words
        model: Any = build_classifier(architecture, words, 3) if recipe.task == "classifier" else None
        assert (model or Decoder(architecture, words)).config == architecture


@pytest.mark.parametrize("question", CATALOGUE.values(), ids=CATALOGUE)
def test_runs_of_one_recipe_are_shared_and_files_of_others_are_not(question: Question) -> None:
    n_seeds = {variant: 1 + number % 2 for number, variant in enumerate(question.variants)}
    runs = question.runs(n_seeds, 3)
    assert list(runs) == [(variant, 3 + seed) for variant in question.variants for seed in range(n_seeds[variant])]
    what: dict[str, set[Any]] = {}
    for (variant, seed), run in runs.items():
        assert (run.recipe, run.seed) == (question.variants[variant], seed)
        assert run.fold == (seed if question.on_folds else None)
        if question.files.endswith("{seed}"):
            what.setdefault(run.name, set()).add((run, question.tokenizations.get(variant)))
    assert all(len(each) == 1 for each in what.values())  # a file for each run, and a run for each file
    if what:
        assert len(what) == len({(run, question.tokenizations.get(variant)) for (variant, _), run in runs.items()})


# ---------------------------------------------------------------------------------------------------- parts 1, 2 and 3
def test_the_report_recipe_trains_as_long_as_the_report_did() -> None:
    assert {task: recipe.duration for task, recipe in RECIPES["report"].items()} == PUBLISHED_DURATION


def test_the_runs_of_parts_1_and_2_have_names_without_a_seed() -> None:
    assert names_of_runs(CATALOGUE["part1"]) == ["classifier"]
    assert names_of_runs(CATALOGUE["part2"]) == ["decoder-ff256", "decoder-ff100"]
    second = CATALOGUE["part1"].probes[0].needs
    assert second is not None
    for ff_dims in ((), (16, 16)):
        with pytest.raises(UserError, match="one or more different sizes"):
            questions.how_surprising(REPORT["decoder"], ff_dims)


def differences(recipe: Recipe, base: Recipe) -> dict[str, Any]:
    plain = settings_of(base)
    return {name: value for name, value in settings_of(recipe).items() if value != plain[name]}


def test_the_variants_of_the_exploration_differ_in_one_thing_each() -> None:
    classifier, decoder, validation = questions.exploration(REPORT, report=True)
    rates = [f"batch-norm-dropout-{rate}" for rate in (0.2, 0.3, 0.4, 0.5)]
    positions: dict[str, Any] = {"learned": {}, "alibi": {"positions": "alibi"}, "none": {"positions": "none"}}
    regularized = {name: {"batch_norm": True, "dropout": float(name[-3:])} for name in rates}
    steep = {"positions": "alibi", "alibi_slope_scale": 8.0}
    for question, variants in (
        (classifier, {**positions, "original": {}, rates[0]: regularized[rates[0]]}),
        (decoder, {**positions, "alibi-steep": steep, "ff256": {}, "ff100": {"ff_dim": 100}}),
        (validation, regularized),
    ):
        base = REPORT[question.kind.name]
        assert {name: differences(recipe, base) for name, recipe in question.variants.items()} == variants
    of_positions = (("alibi", "learned"), ("none", "learned"), ("alibi", "none"))
    assert classifier.pairs == (*of_positions, (rates[0], "original"))
    assert decoder.pairs == (*of_positions, ("alibi-steep", "alibi"), ("ff256", "ff100"))
    assert validation.pairs == tuple((rates[0], rate) for rate in rates[1:])
    dropout: Any = {**REPORT, "classifier": customise(REPORT["classifier"], dropout=0.1)}
    assert questions.exploration(dropout)[0].variants["original"].architecture.dropout == 0.0  # whatever the recipe has
    assert list(questions.dropout_rates(customise(REPORT["classifier"], head_dim=0))) == [
        f"dropout-{r}" for r in made_up.RATES
    ]


def test_the_runs_of_the_exploration_are_named_measured_and_shared_as_before() -> None:
    classifier, decoder, validation = questions.exploration(REPORT, report=True)
    own = [f"classifier-{name}-seed3" for name in ("learned", "alibi", "none", "learned", "batch-norm-dropout-0.2")]
    assert names_of_runs(classifier) == own
    assert names_of_runs(decoder, "alibi-steep", "ff256", "ff100") == [
        f"decoder-{name}-seed3" for name in ("alibi-steep", "learned", "ff100")
    ]
    runs = decoder.runs(dict.fromkeys(decoder.variants, 1), 3)
    assert {run.name: run.lengths for run in runs.values() if run.lengths} == {"decoder-alibi-seed3": (64, 128, 256)}
    assert [run.name for run in runs.values() if run.brief] == ["decoder-ff100-seed3"]
    assert [run for _, run in sorted(validation.runs({"batch-norm-dropout-0.2": 2}, 3).items())] == [
        Run(f"validation-batch-norm-dropout-0.2-seed{seed}", validation.variants[validation.base], seed, seed, (), True)
        for seed in (3, 4)
    ]


def test_either_half_of_the_exploration_can_be_asked_alone() -> None:
    def names(**halves: bool) -> list[tuple[str, str, list[str]]]:
        asked = questions.exploration(REPORT, **halves)
        return [(each.name, each.base, [probe.name for probe in each.probes]) for each in asked]

    assert names(regularize=False) == [("classifier", "learned", []), ("decoder", "learned", ["lengths"])]
    assert names(alibi=False) == [("classifier", "original", []), ("validation", "batch-norm-dropout-0.2", [])]
    of_classifier, of_decoder = ["attention", "knockouts", "faithfulness"], ["lengths", "attention", "knockouts"]
    assert [probes for _, _, probes in names(report=True)] == [of_classifier, of_decoder, []]


# ----------------------------------------------------------------------------------------------- any, and the best ones
def test_variants_are_values_combinations_or_given_one_by_one() -> None:
    grid = questions.varied("decoder", ["positions=learned,rope", "n_layer=1,2"], "dropout=0.1", ())
    assert list(grid.values()) == [
        {"dropout": 0.1, "positions": positions, "n_layer": n} for positions in ("learned", "rope") for n in (1, 2)
    ]
    given = questions.varied("decoder", (), "n_layer=2", ("norm=pre", "norm=none tied=true"))
    assert list(given.values()) == [
        {"n_layer": 2},
        {"n_layer": 2, "norm": "pre"},
        {"n_layer": 2, "norm": "none", "tied": True},
    ]
    question = comparison("classifier", "positions=learned,alibi", "dropout=0,0.2")
    assert names_of_runs(question)[-1] == "classifier-positions-alibi-dropout-0.2-seed3"
    assert names_of_runs(comparison("decoder", variants=("norm=pre",)))[0] == "decoder-as-it-is-seed3"


def test_what_is_no_comparison_is_refused() -> None:
    for vary, variants, complaint in (
        *(((), (), "there is nothing to compare"), (["n_layer=2,2"], (), "two variants are the same")),
        (["n_layer=4", "norm=post,post"], (), "two variants are the same"),
        (["norm=post,pre", "norm=none"], (), "norm is given twice"),
        ((), ["positions=learned"], "'as it is' and 'positions=learned' are the same recipe"),
    ):
        with pytest.raises(UserError, match=complaint):
            comparison("decoder", *vary, variants=variants)
    with pytest.raises(UserError, match="--measure accuracy is not of a decoder; choose perplexity"):
        comparison("decoder", "n_layer=1,2", measure="accuracy")


@pytest.mark.parametrize("task", TASKS)
def test_measures_are_those_of_the_kinds_and_opponents_are_compared_on_folds(task: Task) -> None:
    measures = KINDS[task].measures
    assert MEASURES[task][0] == next(iter(measures))
    assert set(MEASURES[task]) <= set(measures) & set(get_args(Score))
    opponents = CLASSIFIER_OPPONENTS if task == "classifier" else DECODER_OPPONENTS
    for measure, on_folds in itertools.product(MEASURES[task], (False, True)):
        question = comparison(task, "n_layer=1,2", measure=measure, on_folds=on_folds)
        assert question.measured == [(measures[measure], measures[measure].subset)]
        assert question.has_opponents == (measure not in ("macro-f1", "training-time"))
        compared = ["n_layer=2", *(opponents if on_folds and question.has_opponents else ())]
        assert question.pairs == tuple((name, "n_layer=1") for name in compared)


@pytest.mark.parametrize("task", TASKS)
def test_each_change_of_the_ablation_is_compared_with_the_recipe_on_folds(task: Task) -> None:
    question = CATALOGUE[f"ablation, {task}"]
    assert list(question.variants) == [questions.WHOLE, *CHANGES[task]]
    assert question.variants[questions.WHOLE] == BEST[task]
    assert set(question.brief) == set(question.variants)
    assert question.on_folds
    assert len(set(map(file_name, question.variants))) == len(question.variants)
    for name, change in CHANGES[task].items():
        assert change.items() <= settings_of(question.variants[name]).items()


def test_changes_of_the_ablation_are_chosen_by_name() -> None:
    assert chosen() == {task: list(changes) for task, changes in CHANGES.items()}
    in_order = {"decoder": ["no weight decay", "width 64"]}
    assert chosen("decoder", ["width 64", "no weight decay", "width 64"]) == in_order
    assert chosen(None, ["width 64"]) == {"classifier": ["width 64"], "decoder": ["width 64"]}
    assert chosen(None, ["no attention"]) == {"classifier": ["no attention"]}
    for task, name, complaint in (
        ("decoder", "no wieght decay", "the best decoder has no .* 'no wieght decay'; did you mean no weight decay"),
        ("decoder", "no attention", "the best decoder has no change called"),  # the classifier's
        (None, "x", "the best recipe has no change called 'x'"),
    ):
        with pytest.raises(UserError, match=complaint):
            chosen(task, ["width 64", name])  # type: ignore[arg-type]


def test_the_measurement_compares_the_best_recipe_with_every_other_model() -> None:
    for task, opponents in (("classifier", CLASSIFIER_OPPONENTS), ("decoder", DECODER_OPPONENTS)):
        question = questions.measured(task)  # type: ignore[arg-type]
        assert question.variants == {"best": BEST[task], "report": REPORT[task]}  # type: ignore[index]
        assert question.pairs == tuple(("best", name) for name in ("report", *opponents))
        assert not question.on_folds
        assert question.trained_only
    subsets = [[subset for _, subset in questions.measured(task).measured] for task in TASKS]
    assert subsets == [[EACH_GROUP], [EACH_TEST_TEXT, TOGETHER]]


def test_kinds_of_tokens_are_compared_in_blocks_of_each_size() -> None:
    question = questions.kinds_of_tokens(REPORT["decoder"], [WORDS, *TOKENS], (8, 16), on_folds=False)
    kinds = {"word": WORDS, "bpe300": TOKENS[0], "character": TOKENS[1]}
    assert question.tokenizations == {f"{name}-block{n}": kind for n in (8, 16) for name, kind in kinds.items()}
    assert [recipe.architecture.block_size for recipe in question.variants.values()] == [8] * 3 + [16] * 3
    runs = question.runs(dict.fromkeys(question.variants, 1), 3)
    assert len({run.name for run in runs.values()}) == len(runs) == 6  # the same recipes, of other tokens
    assert (set(question.brief), question.pairs, question.has_opponents) == (set(question.variants), (), False)


def test_every_way_to_tell_positions_is_compared_with_none_after_as_many_iterations() -> None:
    question = questions.positions_over_time(REPORT["decoder"], (5, 10))
    assert len(question.variants) == 2 * len(questions.WAYS)
    for variant, base in question.pairs:
        recipe, of_base = question.variants[variant], question.variants[base]
        assert (of_base.architecture.positions, recipe.duration) == ("none", of_base.duration)
        assert recipe.architecture.positions != "none"
    assert question.variants[questions.trained_for("learned, from N(0, 1)", 5)].architecture.position_std == 1
    architectures = [recipe.architecture for recipe in question.variants.values()]
    assert len({(each.positions, each.position_std) for each in architectures}) == len(questions.WAYS)
    for iterations in ((), (5, 5)):
        with pytest.raises(UserError, match="different numbers"):
            questions.positions_over_time(REPORT["decoder"], iterations)


def test_a_study_with_fewer_seeds_at_its_end_is_refused() -> None:
    study = Study("part1", "report", {"classifier": REPORT["classifier"]}, (CATALOGUE["part1"],), (0, 1, 2))
    assert (study.looks(), study.block_size) == ([3], 32)
    assert replace(study, until_told=12).looks() == [3, 6, 12]
    with pytest.raises(UserError, match="--until-told 2: fewer than --seeds 3"):
        replace(study, until_told=2)
    assert study.settings()["classifier"]["classifier"]["duration"] == 15


def test_attention_is_drawn_for_the_reports_sentence_on_texts_of_its_speakers_alone(data: Data) -> None:
    assert sentence_of(data.corpus) == REPORT_SENTENCE
    of_others = replace(data.corpus, test_texts={"obama": []})
    assert sentence_of(of_others).split() == data.corpus.test[0].text.split()[:9]
