"""Runs become one by their ids, whatever their folds; what cannot be blended is refused with the reason."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kit import blend as blending
from kit import runs
from kit.blend import best_of_each
from kit.choosing import by_seed
from kit.cli import app
from kit.competition import open_competition
from kit.errors import RunError
from kit.files import read_json
from kit.fitting import Says
from kit.predict import grade, predict
from kit.predictions import Predictions
from kit.runs import Run

LINEAR = ("model.name=linear", "model.penalty=1.0", "train.threads=1")  # a penalty that is given need not be searched for


def trained(table, *overrides) -> Run:
    return runs.open_run(table.trained(*overrides))


def blended(table, chosen, weights=(), *overrides, method="mean", says=Says()) -> Run:
    return blending.blend(open_competition("toy", overrides=list(overrides)), table.data, chosen, list(weights), says, method=method)


def complaint(*given, **options) -> str:
    with pytest.raises(RunError) as error:
        blended(*given, **options)
    return str(error.value)


def answers(run, name="test.parquet"):
    return Predictions.read(run.folder / name).rows.set_index("id")["p"]


@pytest.mark.parametrize(("weights", "shares"), [([], (0.5, 0.5)), ([3, 1], (0.75, 0.25)), ([1, 0], (1, 0))])
@pytest.mark.parametrize("name", ["oof.parquet", "test.parquet"])
def test_predictions_are_the_weighted_mean_by_id(table, weights, shares, name):
    one, other = trained(table), trained(table, *LINEAR)
    run = blended(table, [one, other], weights)
    expected = shares[0] * answers(one, name) + shares[1] * answers(other, name)
    assert answers(run, name).to_dict() == pytest.approx(expected.to_dict())


def test_submission_holds_the_mean(table):
    run = blended(table, [trained(table), trained(table, *LINEAR)])
    rows = [line.split(",") for line in (run.folder / "submission.csv").read_text().splitlines()[1:]]
    assert {id: float(p) for id, p in rows} == answers(run).to_dict()


def test_blend_is_scored_out_of_fold_by_the_folds_of_its_runs(table):
    one, other = trained(table), trained(table, *LINEAR)
    run = blended(table, [one, other])
    assert run.info["folds"] == one.info["folds"] == other.info["folds"]
    assert (run.folder / "folds.csv").read_bytes() == (one.folder / "folds.csv").read_bytes()
    assert len(run.info["score"]["folds"]) == 2 and run.info["covered"] == 60
    assert run.info["constant"] == one.info["constant"]


def test_score_is_that_of_the_mean_graded_as_a_submission(table):
    run = blended(table, [trained(table), trained(table, *LINEAR)])
    (table.folder / "oof.csv").write_text("id,sold\n" + "".join(f"{id},{p!r}\n" for id, p in answers(run, "oof.parquet").items()))
    (table.folder / "truth.csv").write_text("id,sold\n" + "".join(f"{row[0]},{row[-1]}\n" for row in table.train[1:]))
    found = grade(open_competition("toy"), table.folder / "oof.csv", table.folder / "truth.csv", table.data)
    assert found == pytest.approx(run.info["score"]["pooled"])


def test_runs_with_other_folds_meet_by_id_and_are_scored_on_the_parts_of_the_first(table):
    one, other = trained(table), trained(table, "score.folds.count=3", *LINEAR)
    run = blended(table, [one, other])
    assert run.info["folds"] == "mixed" and run.info["covered"] == 60
    assert len(run.info["score"]["folds"]) == 2  # a threshold is fitted on one part and scored on the other
    assert not (run.folder / "folds.csv").exists()


@pytest.mark.parametrize("count", [2, 3])
def test_blends_are_blended_like_any_run(table, count):
    one, other = trained(table), trained(table, f"score.folds.count={count}", *LINEAR)
    first, second = blended(table, [one, other]), blended(table, [one, other], [2, 1])
    run = blended(table, [first, second])
    assert run.info["state"] == "finished" and run.info["folds"] == first.info["folds"]


def test_rows_that_one_run_does_not_cover_are_left_out_and_that_is_said(table):
    whole, alone = trained(table), trained(table, "train.fold=0", *LINEAR)
    said = []
    run = blending.blend(open_competition("toy"), table.data, [whole, alone], [], Says(progress=said.append))
    assert said == ["note    30 out-of-fold rows that not every run covers are left out of the score"]
    assert (run.info["covered"], run.info["rows"]) == (30, 60)
    assert set(answers(run, "oof.parquet").index) == set(answers(alone, "oof.parquet").index)


def test_runs_without_a_common_out_of_fold_row_are_refused(table):
    parts = [trained(table, f"train.fold={k}") for k in (0, 1)]
    assert complaint(table, parts) == "the runs share no out-of-fold row\ndo they come from the same data?"


def test_runs_of_other_test_files_are_refused(table):
    one = trained(table)
    table.test, table.sample = table.test[:-2], table.sample[:-2]
    table.write()
    assert complaint(table, [one, trained(table)]) == (
        "the runs predict different test rows: 2 are not in all of them\ntrain them on the same test file"
    )


def test_all_that_is_wrong_with_the_choice_is_said_at_once(table):
    one, other = trained(table), trained(table)
    one.save(state="interrupted")
    other.save(competition="titanic")
    assert complaint(table, [one, other], [1, 2, -3]) == (
        "3 weights for 2 runs: give one for each\n"
        "weights 1, 2, -3: expected finite numbers, none below zero, and one above\n"
        "1-lightgbm is not finished: give its training command again\n"
        "2-lightgbm is a run of titanic, not of toy"
    )


@pytest.mark.parametrize("weights", [[0, 0], [1, float("nan")], [1, float("inf")]])
def test_weights_that_weigh_nothing_are_refused(table, weights):
    assert complaint(table, [trained(table), trained(table)], weights).startswith("weights ")
    assert len(list((table.folder / "runs").iterdir())) == 2


def test_one_run_is_no_blend(table):
    assert complaint(table, [trained(table)]) == "a blend needs two finished runs or more, and there are 1: train another model first"


def test_blend_is_named_in_its_config(table):
    run = blended(table, [trained(table), trained(table, *LINEAR)], [2, 1])
    assert run.name == "3-blend"
    assert 'runs = [\n    "1-lightgbm",\n    "2-linear",\n]' in (run.folder / "config.toml").read_text()


# weights found out of fold


@pytest.mark.parametrize(("metric", "space"), [("log_loss", "logit"), ("auc", "rank"), ("accuracy", "probability")])
@pytest.mark.parametrize("method", ["greedy", "steady", "stack", "best"])
def test_a_blend_with_weights_of_its_own_is_told_and_predicts_new_rows_as_it_did(table, metric, space, method):
    chosen = [trained(table, *words, f"score.metric={metric}") for words in ((), LINEAR)]
    lines = []
    run = blended(table, chosen, (), f"score.metric={metric}", method=method, says=Says(lines.append))
    told = run.info["blended"]
    assert (told["runs"], told["method"], told["space"]) == ([r.name for r in chosen], method, space)
    assert len(told["weights"]) == 2 and min(told["weights"]) >= 0 and len(told["bias"]) == (method == "stack")
    assert run.info["asked"][0] == f"--method {method}"
    honest = run.info["honest"]
    assert honest["interval"][0] < run.info["score"]["mean"] < honest["interval"][1]
    assert honest["gain_interval"][0] <= honest["gain"] <= honest["gain_interval"][1] and honest["lift_interval"][0] < honest["lift"]
    assert [line.split()[0] for line in lines] == ["run", "run", "sample", "rows", "lift", "best", "cv"]
    assert predict(run, table.data, Says()).read_bytes() == (run.folder / "submission.csv").read_bytes()


def test_the_score_is_that_of_the_out_of_fold_rows_which_saw_no_weight_of_their_own(table):
    chosen = [trained(table), trained(table, *LINEAR), trained(table, "model.name=knn")]
    run = blended(table, chosen, method="stack")
    (table.folder / "oof.csv").write_text("id,sold\n" + "".join(f"{id},{p!r}\n" for id, p in answers(run, "oof.parquet").items()))
    (table.folder / "truth.csv").write_text("id,sold\n" + "".join(f"{row[0]},{row[-1]}\n" for row in table.train[1:]))
    found = grade(open_competition("toy"), table.folder / "oof.csv", table.folder / "truth.csv", table.data)
    assert found == pytest.approx(run.info["score"]["pooled"])
    assert run.info["honest"]["in_sample"] < run.info["score"]["mean"]  # of a loss: what is fitted on the rows looks better


@pytest.mark.parametrize("method", ["greedy", "steady", "stack", "best"])
def test_runs_that_differ_by_their_seed_alone_weigh_the_same(table, method):
    noisy = ("model.column_share=0.5", "model.row_share=0.5")
    chosen = [trained(table, *noisy, f"train.seed={seed}") for seed in (1, 2)]
    weights = blended(table, [chosen[0], trained(table, *LINEAR), chosen[1]], method=method).info["blended"]["weights"]
    assert weights[0] == weights[2]


def test_seeds_of_one_model_that_searched_for_different_times_weigh_the_same(table):
    """A budget gives each training what is left of it."""
    searched = [trained(table, f"train.seed={n}", f"model.seconds={seconds}") for n, seconds in enumerate((30.5, 20.25))]
    for run in searched:
        run.save(constant=None)  # so small a table may leave a booster below it, and then it is not among the best
    found = [*searched, trained(table, *LINEAR)]
    assert by_seed(found) == [[0, 1], [2]]
    assert sorted(r.name for r in best_of_each(found)) == ["1-lightgbm", "2-lightgbm", "3-linear"]


def test_seeds_alone_are_averaged(table):
    one, other = trained(table), trained(table, "train.seed=1")
    mean, found = blended(table, [one, other]), blended(table, [one, other], method="greedy")
    assert answers(mean).to_dict() == pytest.approx(((answers(one) + answers(other)) / 2).to_dict())
    assert found.info["blended"]["weights"] == [0.5, 0.5]


def test_rows_of_one_validated_part_are_cut_for_the_honest_score(table):
    holdout = 'score.folds={ scheme = "holdout", share = 0.5 }'
    lines = []
    chosen = [trained(table, *words, holdout) for words in ((), LINEAR)]
    run = blended(table, chosen, (), holdout, method="stack", says=Says(progress=lines.append))
    assert lines == ["note    one validated part: it is cut in 5 for the honest score"]
    assert len(run.info["score"]["folds"]) == 1 and run.info["covered"] == 30


@pytest.mark.parametrize(("positives", "weights"), [(8, {"judged on cuts": 6}), (2, {"judged on all rows at once": 6}), (1, {"judged on all rows at once": 5, "equal": 1})])
def test_rare_positives_in_one_validated_part_cost_no_blend(table, positives, weights):
    for n, row in enumerate(table.train):
        row.insert(1, "part" if n == 0 else "-1" if n <= 30 else "0")
        if n > 30:
            row[-1] = str(int(n <= 30 + positives))
    table.write()
    asked = ("score.metric=auc", 'input.columns.given=["part"]', 'score.folds={ scheme = "given" }')
    chosen = [trained(table, *words, *asked) for words in ((), LINEAR)]
    for method in ("greedy", "steady", "best"):
        lines = []
        run = blended(table, chosen, (), *asked, method=method, says=Says(progress=lines.append))
        assert run.info["state"] == "finished" and run.info["covered"] == 30
        assert run.info["honest"]["cuts"] == 5 and run.info["honest"]["weights"] == weights
        assert [line.split(" times ")[1] for line in lines[1:]] == [f"the weights were {way}" for way in weights if way != "judged on cuts"]


def test_runs_of_another_metric_are_scored_anew_and_the_best_is_the_best_by_the_blends_metric(table):
    """A root of squares is no share of the variance: the greater of the two numbers is the worse run."""
    number = ("output.task=regression", "score.folds.scheme=kfold")
    poor, lines = ("model.name=constant", *number), []
    one, other = trained(table, "model.rounds=2", *number, "score.metric=r2"), trained(table, *poor, "score.metric=rmse")
    expected = trained(table, *poor, "score.metric=r2").info["score"]["mean"]
    assert other.info["score"]["mean"] > one.info["score"]["mean"] > expected
    run = blended(table, [other, one], (), *number, "score.metric=r2", says=Says(lines.append))
    assert run.info["honest"]["best"] == "1-lightgbm"
    assert lines[0].split() == ["run", "2-constant", "r2", f"{expected:.6g}", "weight", "1"]
    assert [line.split()[:4] for line in lines if line.startswith("best")] == [["best", "1-lightgbm", "r2", f"{one.info['score']['mean']:.6g}:"]]
    assert run.info["constant"] == pytest.approx(expected)


def test_blends_of_mixed_folds_are_blended_on_the_parts_of_the_first_run_in_them(table):
    one, other = trained(table), trained(table, "score.folds.count=3", *LINEAR)
    first, second = blended(table, [one, other]), blended(table, [one, other], [2, 1])
    run = blended(table, [first, second], method="greedy")
    assert len(run.info["score"]["folds"]) == 2 and run.info["folds"] == "mixed"
    assert predict(run, table.data, Says()).read_bytes() == (run.folder / "submission.csv").read_bytes()


def test_a_method_that_is_none_and_weights_beside_one_are_refused(table):
    runs = [trained(table), trained(table)]
    assert complaint(table, runs, method="voting") == 'no method "voting": mean, best, greedy, steady, stack'
    assert complaint(table, runs, [2, 1], method="stack") == "weights 2, 1 are given, and stack finds its own: leave out one of the two"


def test_a_stack_of_an_open_set_is_refused_and_greedy_selection_is_not(table):
    open_set = ("output.task=multiclass", "output.open_set=true", "output.unknown=none", "score.metric=accuracy")
    chosen = [trained(table, *words, *open_set) for words in ((), ("model.name=knn",))]
    assert complaint(table, chosen, (), *open_set, method="stack") == (
        'a stack weighs numbers, and a prediction of task "multiclass" is none\nuse --method greedy'
    )
    assert blended(table, chosen, (), *open_set, method="greedy").info["state"] == "finished"


# the default choice


def test_other_seeds_of_the_best_run_are_chosen_with_it(table):
    poor = ("model.name=linear", "model.penalty=1000.0", "train.threads=1")
    found = [trained(table, *words) for words in (LINEAR, (*LINEAR, "train.seed=1"), (*LINEAR, "train.seed=1"), (*poor, "train.seed=2"), ())]
    picked = best_of_each(found)
    assert sorted(r.name for r in picked) == ["1-linear", "2-linear", "5-lightgbm"]
    weights = dict(zip((r.name for r in picked), blending.shares(picked)))
    assert weights == {"1-linear": 0.5, "2-linear": 0.5, "5-lightgbm": 1.0}


def made(number, model, score, *, state="finished", constant=0.5, covered=60, greater=True, metric="auc") -> Run:
    return Run(
        runs.Path(f"runs/{number}-{model}"),
        {"state": state, "score": {"mean": score}, "constant": constant, "covered": covered, "validated": 60, "greater_is_better": greater, "metric": metric},
    )


def chosen(*found) -> list[str]:
    return [run.name for run in best_of_each(list(found))]


def test_best_run_of_each_model_is_chosen():
    assert chosen(made(1, "lightgbm", 0.7), made(2, "lightgbm", 0.8), made(3, "mlp", 0.6)) == ["2-lightgbm", "3-mlp"]
    assert chosen(made(1, "knn", 0.3, greater=False), made(2, "knn", 0.2, greater=False)) == ["2-knn"]


def test_runs_of_one_metric_alone_are_compared():
    found = [made(1, "knn", 0.9, metric="r2"), *(made(n, "knn", 25e3 + n, greater=False, constant=9e4, metric="rmse") for n in (2, 3)), made(4, "mlp", 0.6, metric="r2")]
    said = []
    assert [run.name for run in best_of_each(found, "r2", said.append)] == ["1-knn", "4-mlp"]
    assert said == ['note    left out, scored by another metric than "r2": 2-knn, 3-knn']
    assert [run.name for run in best_of_each(found[:3], "mae", said.append)] == ["2-knn"]  # of no run: the metric of most
    assert best_of_each([], "mae", said.append) == []


def test_blends_unfinished_and_partial_runs_are_left_out():
    assert chosen(made(1, "blend", 0.9), made(2, "mlp", 0.9, state="failed"), made(3, "knn", 0.9, covered=30), made(4, "linear", 0.6)) == [
        "4-linear"
    ]


def test_what_is_not_better_than_the_constant_is_left_out():
    assert chosen(made(1, "constant", 0.5), made(2, "knn", 0.4), made(3, "linear", 0.6)) == ["3-linear"]
    assert chosen(made(1, "constant", 0.5, greater=False), made(2, "knn", 0.4, greater=False)) == ["2-knn"]


def test_where_no_constant_has_a_score_all_models_are_chosen():
    assert chosen(made(1, "knn", 0.4, constant=None)) == ["1-knn"]


def test_default_choice_of_real_runs_leaves_the_constant_out(table):
    for overrides in ((), LINEAR, ("model.name=constant",)):
        trained(table, *overrides)
    found = runs.listed(table.folder / "runs")
    assert [r.name for r in best_of_each(found)] == ["1-lightgbm", "2-linear"]
    assert read_json(found[2].folder / "run.json")["score"]["mean"] == pytest.approx(found[2].info["constant"])


def test_a_blend_predicts_new_rows_with_the_runs_that_it_is_made_of(table):
    first, second = table.trained(), table.trained("model.rounds=9")
    competition = open_competition("toy")
    run = blending.blend(competition, table.data, [runs.open_run(first), runs.open_run(second)], [], Says())
    predicted = predict(runs.open_run(run.folder), table.data, Says())
    assert predicted.read_bytes() == (run.folder / "submission.csv").read_bytes()


def test_what_all_runs_were_trained_with_holds_for_their_blend(table):
    """A preset may change which rows are read and how they are judged; the blend's command need not say so again."""
    asked = ("score.metric=auc", 'input.columns.date=["listed"]')
    one, other = trained(table, *asked), trained(table, *LINEAR, *asked)
    done = CliRunner().invoke(app, ["blend", "toy", one.name, other.name])
    assert done.exit_code == 0, done.output
    found = runs.open_run(Path(done.stdout.splitlines()[-1]).parent)
    assert found.info["metric"] == "auc" and 'date = [' in (found.folder / "config.toml").read_text()
    done = CliRunner().invoke(app, ["blend", "toy", one.name, other.name, "score.metric=brier"])
    assert done.exit_code == 0 and runs.open_run(Path(done.stdout.splitlines()[-1]).parent).info["metric"] == "brier"
    unlike = trained(table)
    done = CliRunner().invoke(app, ["blend", "toy", one.name, unlike.name])
    assert done.exit_code == 0 and runs.open_run(Path(done.stdout.splitlines()[-1]).parent).info["metric"] == "log_loss"  # the config's
