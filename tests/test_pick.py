"""The final two: formulas on paper, a pair that is worth more than the two best out of fold, and what `kit pick` says of real runs."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kit import blend as blending
from kit import runs
from kit.candidates import by_folds, candidates, public
from kit.cli import app
from kit.competition import open_competition
from kit.errors import RunError
from kit.files import read_json
from kit.fitting import Says
from kit.pick import better_of_two, pair, pick, posterior

LINEAR = ("model.name=linear", "model.penalty=1.0", "train.threads=1")
KNN = ("model.name=knn", "train.threads=1")
NONE = np.full(3, np.nan)


# formulas


def test_scores_are_averaged_by_their_rows():
    own, shown = np.array([0.80, 0.70]), np.array([0.90, 0.84])  # the leaderboard is 0.12 beside on average: 0.78 and 0.72 on the scale of out of fold
    told = posterior(own, shown, np.eye(2) * 1e-4, public=3.0, private=1.0)  # a third of the rows: a quarter of the weight
    assert told.offset == pytest.approx(0.12) and told.own == pytest.approx([0.75, 0.75]) and told.excess == 0
    assert told.score == pytest.approx([0.75 * 0.80 + 0.25 * 0.78, 0.75 * 0.70 + 0.25 * 0.72])
    # errors: 0.75² of the one, 3 x 0.25² of the other, and those of the private rows
    assert told.covariance == pytest.approx(np.eye(2) * 1e-4 * (0.75**2 + 3 * 0.25**2 + 1))


def test_a_run_without_a_leaderboard_score_keeps_its_own():
    told = posterior(np.array([0.8, 0.7, 0.75]), np.array([0.9, 0.8, np.nan]), np.eye(3) * 1e-4, public=1.0, private=1.0)
    assert told.own == pytest.approx([0.5, 0.5, 1.0]) and told.score == pytest.approx([0.8, 0.7, 0.75])
    assert posterior(np.array([0.8, 0.7, 0.75]), NONE, np.eye(3), public=1.0, private=1.0).offset is None


def test_what_runs_have_in_common_weighs_nothing_and_a_leaderboard_that_contradicts_beyond_chance_weighs_more():
    own, covariance = np.array([0.80, 0.79, 0.78]), np.full((3, 3), 4e-4) + np.eye(3) * 1e-6
    near = posterior(own, own + [0.001, -0.001, 0.0], covariance, public=4.0, private=1.0)
    assert near.own == pytest.approx([0.8] * 3) and near.excess == 0
    far = posterior(own, own + [-0.05, 0.05, 0.0], covariance, public=4.0, private=1.0)
    assert far.excess > 0.04 and (far.own < 0.01).all() and int(np.argmax(far.score)) == 1


def test_better_of_two_is_the_mean_of_the_maximum_of_drawn_ones():
    covariance = np.array([[4.0, 1.0, 3.6], [1.0, 2.0, 0.0], [3.6, 0.0, 4.0]])
    told = posterior(np.array([1.0, 0.5, 0.9]), NONE, covariance, public=1.0, private=0.0)
    drawn = np.random.default_rng(0).multivariate_normal(told.score, covariance, 400_000)
    expected = [drawn[:, [0, n]].max(axis=1).mean() for n in range(3)]
    assert better_of_two(0, told) == pytest.approx(expected, abs=0.01)
    still = posterior(np.array([1.0, 0.5, 0.9]), NONE, np.zeros((3, 3)), public=1.0, private=0.0)
    assert better_of_two(0, still).tolist() == [1.0, 1.0, 1.0] and pair(still) == (0, 2)


def test_the_second_is_a_bold_one_and_no_twin_of_the_first():
    scores, covariance = np.array([0.800, 0.799, 0.795]), np.array([[1.0, 0.999, 0.5], [0.999, 1.0, 0.5], [0.5, 0.5, 1.0]]) * 1e-4
    assert pair(posterior(scores, NONE, covariance, public=1.0, private=1.0)) == (0, 2)
    assert pair(posterior(scores - [0, 0, 0.1], NONE, covariance, public=1.0, private=1.0)) == (0, 1)  # too bold
    same = np.array([[False, False, True], [False, False, True], [True, True, False]])
    assert pair(posterior(scores - [0, 0, 0.1], NONE, covariance, public=1.0, private=1.0), same) == (0, 2)  # the other is one file with the first


def _rows(random, skill: np.ndarray, family: np.ndarray, n: int) -> np.ndarray:
    return skill + 0.75 * random.normal(size=(n, 1)) + 0.6 * random.normal(size=(n, 3))[:, family] + 0.25 * random.normal(size=(n, 10))


@pytest.mark.parametrize(("shift", "shown"), [(0.0, False), (0.0, True), (0.03, True)], ids=["out-of-fold-alone", "with-leaderboard", "misleading-folds"])
def test_the_pair_is_worth_more_than_the_two_best_out_of_fold(shift, shown):
    """Ten runs of three families, whose rows go together; 500 rows out of fold, 500 to predict, of which 150 are on the leaderboard."""
    random, gained, truly = np.random.default_rng(0), [], []
    for _ in range(300):
        family, skill = random.integers(0, 3, 10), random.normal(0, 0.02, 10)

        known, seen, unseen = (_rows(random, skill, family, n) for n in (500, 150, 350))
        known += random.normal(0, 1, 10) * shift
        own = known.mean(axis=0)
        board = seen.mean(axis=0) + 0.1 if shown else np.full(10, np.nan)
        chosen = pair(posterior(own, board, np.cov(known.T) / 500, public=500 / 150, private=500 / 350))
        best = np.argsort(-own)[:2]
        end = unseen.mean(axis=0)
        gained.append(end[list(chosen)].max() - end[best].max())
        truly.append(skill[list(chosen)].max() - skill[best].max())
    for gain in (gained, truly):
        assert np.mean(gain) > 2 * np.std(gain) / np.sqrt(len(gain))


# runs


def said(table, **options) -> tuple[list[str], list[str]]:
    return pick(candidates(open_competition("toy"), table.data), share=options.get("share"))


def told(run, **changes) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(read_json(path) | changes))


def test_command_prints_the_two_and_why(table):
    one, two, three = table.trained(), table.trained(*LINEAR), table.trained(*KNN)
    for folder, score in ((one, 0.52), (two, 0.44), (three, 0.9)):
        told(folder, leaderboard={"public": score, "private": None, "state": "complete"})
    done = CliRunner().invoke(app, ["pick", "toy", "--public-share", "0.4"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["noise", "first", "second", "apart", "1", "2"]
    assert "leaderboard ± " in lines[0] and "of about 12 rows (40% of 30, as told)" in lines[0] and " over 3 runs" in lines[0]
    assert lines[1].startswith("first   2-linear: the best expected log_loss, 0.") and lines[1].endswith(" over folds")
    assert "the better of the two is expected to reach 0." in lines[2]
    assert "errors out of fold correlate by 0." in lines[3] and "sold: number, 30 of 30 (100.00%) rows differ; rank correlation 0." in lines[3]
    score = read_json(two / "run.json")["score"]["mean"]
    assert lines[4].startswith("1 2-linear  log_loss 0.") and f"out of fold {score:.6g} ± 0." in lines[4] and lines[4].endswith("leaderboard 0.44")
    assert lines[5].startswith("2 ")
    assert CliRunner().invoke(app, ["pick", "toy", "--public-share", "0.4"]).stdout == done.stdout


def test_without_a_leaderboard_out_of_fold_decides_and_an_unknown_share_is_said(table):
    table.trained(), table.trained(*LINEAR)
    why, picks = said(table)
    assert why[0].endswith("of 60 rows; no run has a leaderboard score: out of fold alone decides") and picks[0].startswith("1 2-linear") and picks[0].endswith("not on the leaderboard")
    told(table.folder / "runs" / "1-lightgbm", leaderboard=0.5)
    assert "of about 9 rows (30% of 30, assumed: --public-share says it)" in said(table)[0][0]


def test_the_leaderboard_can_turn_the_order(table):
    one, two = table.trained(), table.trained("model.rounds=6")
    found = candidates(open_competition("toy"), table.data)
    best, other = (one, two) if found.own[0] < found.own[1] else (two, one)
    assert said(table)[1][0].startswith(f"1 {best.name}")
    for folder, score in ((best, 0.9), (other, 0.3)):
        told(folder, leaderboard=score)
    assert said(table)[1][0].startswith(f"1 {other.name}")


def test_errors_are_those_of_rows_drawn_again(table):
    folder = table.trained()
    found = candidates(open_competition("toy"), table.data)
    oof = pd.read_parquet(folder / "oof.parquet").set_index("id")["p"]
    sold = pd.Series({row[0]: int(row[-1]) for row in table.train[1:]})[oof.index]
    each = -np.log(np.where(sold == 1, oof, 1 - oof))
    assert found.own[0] == pytest.approx(read_json(folder / "run.json")["score"]["mean"])
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(each.std() / np.sqrt(60), rel=0.2)  # of 200 draws


def test_one_run_is_picked_alone(table):
    table.trained()
    why, picks = said(table)
    assert picks == ["1 1-lightgbm"] and why == ["only 1-lightgbm can be selected: with one more run, a second chance costs nothing"]


def test_runs_that_cannot_be_selected_are_left_out_with_the_reason(table):
    kept = [table.trained().name, table.trained(*LINEAR).name]
    part, other, stopped, unscored = (table.trained(o) for o in ("train.fold=0", "score.metric=auc", "train.seed=4", "train.seed=5"))
    told(stopped, state="interrupted")
    told(unscored, score="unscored")
    value, table.train[1][1] = table.train[1][1], "0.1234"
    table.write()
    made = table.trained(*KNN)
    table.train[1][1] = value
    table.write()
    found = candidates(open_competition("toy"), table.data)
    assert found.names == kept and found.notes == [
        f"note    left out, not finished: {stopped.name}",
        f"note    left out, scored by another metric than log_loss: {other.name}",
        f"note    left out, made of other files than those in {table.data}: {made.name}",
        f"note    left out, without an out-of-fold score: {unscored.name}",
        f"note    left out, trained on a part of the folds: {part.name}",
    ]
    assert said(table)[0][:5] == found.notes


def test_runs_that_cover_other_rows_are_left_out(table):
    table.trained(), table.trained(*LINEAR)
    held = table.trained("score.folds={scheme='holdout', share=0.5}")
    found = candidates(open_competition("toy"), table.data)
    assert found.names == ["1-lightgbm", "2-linear"] and found.notes == [f"note    left out, predicted other rows out of fold than the 60 that most runs did: {held.name}"]


def test_where_rows_cannot_be_drawn_again_folds_say_how_scores_vary(table, monkeypatch):
    folders = [table.trained(), table.trained(*LINEAR)]
    scores = np.array([read_json(f / "run.json")["score"]["folds"] for f in folders])
    expected = np.cov(scores) * (1 / 2 + 1)  # two folds, as many rows validated as trained on
    assert by_folds(scores, 1.0) == pytest.approx(expected)
    monkeypatch.setattr("kit.candidates.drawn_again", lambda judge, contenders: None)
    assert candidates(open_competition("toy"), table.data).covariance == pytest.approx(expected)


def test_runs_with_other_folds_are_scored_on_the_same_rows(table):
    one, two = table.trained(), table.trained("score.folds.count=3", *LINEAR)
    found = candidates(open_competition("toy"), table.data)
    assert found.names == [one.name, two.name] and not found.same_folds and found.rows == 60
    assert found.notes == ["note    the runs were trained on different folds: all are scored on the parts of one of them, each by models that had not seen the row"]
    assert [len(f) for f in found.folds] == [2, 2] and " over folds" not in "".join(said(table)[0])


def test_blends_can_be_picked_and_equal_files_are_no_second_chance(table):
    chosen = [runs.open_run(table.trained()), runs.open_run(table.trained(*LINEAR))]
    same = blending.blend(open_competition("toy"), table.data, chosen, [0, 1], Says())
    mean = blending.blend(open_competition("toy"), table.data, chosen, [], Says())
    found = candidates(open_competition("toy"), table.data)
    assert found.names == [*(r.name for r in chosen), same.name, mean.name] and not found.apart[1, 2] and found.apart[1, 3]
    _, picks = said(table)
    assert {p.split()[1] for p in picks} != {chosen[1].name, same.name}


def test_without_labels_the_leaderboard_alone_decides(table):
    folders = [table.trained(), table.trained(*LINEAR), table.trained(*KNN)]
    for folder in folders:
        told(folder, score="unscored", covered=0, validated=0)
    with pytest.raises(RunError, match="no run has an out-of-fold score, and fewer than two have one on the leaderboard: there is nothing to choose by"):
        said(table)
    told(folders[0], leaderboard=0.5)
    told(folders[2], leaderboard=0.4)
    why, picks = said(table)
    assert picks == ["1 3-knn  leaderboard 0.4", "2 1-lightgbm  leaderboard 0.5"] and "leaderboard alone decides" in why[0]


def test_nothing_to_pick_and_a_share_that_is_none_are_refused(table):
    with pytest.raises(RunError, match="no runs of toy in .*runs\nkit train toy"):
        said(table)
    told(table.trained(), state="interrupted")
    with pytest.raises(RunError, match="no run of toy can be selected\nleft out, not finished: 1-lightgbm\ntrain one on the competition's data"):
        said(table)
    table.trained(*LINEAR)
    with pytest.raises(RunError, match="--public-share 30: expected the share of the test rows"):
        said(table, share=30)


def test_the_public_score_is_what_there_is_when_the_choice_is_made(tmp_path):
    def of(score) -> float:
        return public(runs.Run(tmp_path, {"leaderboard": score}))

    assert of(0.7) == 0.7 and of({"public": 0.7, "private": 0.6}) == 0.7
    assert np.isnan(of(None)) and np.isnan(of({"public": None, "private": 0.6})) and np.isnan(of({"state": "sent"}))
    with pytest.raises(RunError, match="expected a number, or public and private"):
        of("0.7")
