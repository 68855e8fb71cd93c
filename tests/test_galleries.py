"""Queries and a gallery through the whole flow, on a table: scored by classes, or unscored where there are no labels."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("faiss")

from kit import baselines  # noqa: E402
from kit import predict as predicting  # noqa: E402
from kit.blend import blend  # noqa: E402
from kit.competition import open_competition  # noqa: E402
from kit.errors import KitError  # noqa: E402
from kit.fitting import Says  # noqa: E402
from kit.pipeline import UNSCORED, train  # noqa: E402
from kit.predictions import Predictions  # noqa: E402
from kit.pretrain import pretrain  # noqa: E402

CONFIG = """
[input]
train = "{train}"
gallery = "gallery.csv"
columns = {{ numeric = ["a", "b", "c", "d"] }}
[output]
target = "found"
label = "{label}"
task = "retrieval"
top = 5
[score]
metric = {{ name = "retrieval_map_at_k", k = 5 }}
folds = {{ scheme = "classes", count = 3 }}
[model]
name = "knn"
[train]
threads = 1
"""


@pytest.fixture
def alike(tmp_path, monkeypatch):
    """competitions/alike and competitions/bare below the current folder: things of four numbers, each in several rows."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    things = random.normal(size=(40, 4))

    def rows(numbers, prefix):
        x = things[numbers] + 0.2 * random.normal(size=(len(numbers), 4))
        frame = pd.DataFrame(x.round(4), columns=list("abcd"))
        return frame.assign(id=[f"{prefix}{n:03d}" for n in range(len(x))], thing=[f"t{n}" for n in numbers])

    parts = {"train": rows(np.repeat(np.arange(20), 4), "x"), "gallery": rows(np.repeat(np.arange(20, 40), 3), "g"), "test": rows(np.arange(20, 40), "q")}
    named = parts["gallery"].groupby("thing")["id"].agg(" ".join)
    pd.DataFrame({"id": parts["test"]["id"], "found": named.loc[parts["test"]["thing"]].to_numpy()}).to_csv("answers.csv", index=False)
    for name, told in (("alike", {"train": "train.csv", "label": "thing"}), ("bare", {"train": "", "label": ""})):
        folder = tmp_path / "competitions" / name
        (folder / "data").mkdir(parents=True)
        (folder / "config.toml").write_text(CONFIG.format(**told))
        for part, frame in parts.items():
            if part != "train" or name == "alike":
                frame.drop(columns=[] if part == "train" else ["thing"]).to_csv(folder / "data" / f"{part}.csv", index=False)
    return tmp_path


def trained(name: str, *overrides: str, said=None):
    competition = open_competition(name, overrides=list(overrides))
    return competition, train(competition, competition.folder / "data", Says(*([said.append] * 2 if said is not None else [])))


def test_whole_classes_are_validated_and_the_answers_agree(alike):
    competition, run = trained("alike")
    graded = predicting.grade(competition, run.folder / "submission.csv", alike / "answers.csv", competition.folder / "data")
    assert run.info["score"]["mean"] > 0.6 and graded > 0.6
    oof = Predictions.read(run.folder / "oof.parquet")
    assert len(oof.ids) == 80 and run.info["covered"] == run.info["validated"] == 80
    assert list(oof.rows.columns) == ["id", "neighbours", "scores"]
    assert all(id not in set(names) for id, names in zip(oof.rows["id"], oof.rows["neighbours"]))


def test_a_cell_holds_ids_of_the_gallery(alike):
    _, run = trained("alike")
    cells = pd.read_csv(run.folder / "submission.csv", dtype=str)
    assert list(cells.columns) == ["id", "found"] and list(cells["id"]) == [f"q{n:03d}" for n in range(20)]
    assert all(len(cell.split()) == 5 and all(name.startswith("g") for name in cell.split()) for cell in cells["found"])


def test_new_files_get_the_same_answers(alike):
    competition, run = trained("alike", "search.expansion=2")
    assert predicting.predict(run, competition.folder / "data", Says()).read_bytes() == (run.folder / "submission.csv").read_bytes()
    assert not list(run.folder.glob("vectors-*"))


def test_steps_of_the_search_are_told_with_what_they_bring_and_recorded(alike):
    said = []
    _, run = trained("alike", "search.expansion=2", "search.database=1", said=said)
    assert list(run.info["search"]) == ["plain", "database", "expansion"]
    assert any(line.startswith("search  plain 0.") for line in said)
    assert run.info["search"]["expansion"] == pytest.approx(run.info["score"]["pooled"])
    assert any("database and expansion" in line for line in run.info["exceptions"])


def test_a_gallery_in_another_order_gives_the_same_bytes(alike):
    _, run = trained("alike")
    before = (run.folder / "submission.csv").read_bytes()
    path = alike / "competitions" / "alike" / "data" / "gallery.csv"
    pd.read_csv(path, dtype=str).sample(frac=1, random_state=1).to_csv(path, index=False)
    _, again = trained("alike")
    assert again.folder != run.folder and (again.folder / "submission.csv").read_bytes() == before


def test_without_labels_a_run_is_unscored(alike):
    said = []
    competition, run = trained("bare", said=said)
    assert run.info["score"] == UNSCORED and not (run.folder / "oof.parquet").exists()
    assert any("unscored" in line for line in said)
    assert predicting.grade(competition, run.folder / "submission.csv", alike / "answers.csv", competition.folder / "data") > 0.6


def test_unscored_runs_blend_with_equal_weights(alike):
    competition, one = trained("bare")
    _, other = trained("bare", "model.scale=false")
    made = blend(competition, competition.folder / "data", [one, other], [], Says())
    assert made.info["score"] == UNSCORED and made.info["blended"]["weights"] == [1.0, 1.0]
    assert len(pd.read_csv(made.folder / "submission.csv")) == 20


def test_scored_runs_blend_and_are_scored(alike):
    competition, one = trained("alike")
    _, other = trained("alike", "model.scale=false")
    made = blend(competition, competition.folder / "data", [one, other], [], Says())
    assert made.info["score"]["mean"] > 0.6 and made.info["validated"] == 80


def test_a_model_that_does_not_embed_is_refused_before_any_data_is_read(alike):
    competition = open_competition("alike", overrides=["model.name=constant"])
    with pytest.raises(KitError, match="searches among embeddings"):
        train(competition, alike / "nowhere", Says())


def test_search_is_refused_where_nothing_is_searched(alike):
    with pytest.raises(KitError, match=r"\[search\] goes with"):
        open_competition("alike", overrides=["output.task=multiclass", "score.metric=accuracy", "search.votes=3", "output.label=none"])


def test_all_wrong_options_of_the_search_are_said_at_once(alike):
    with pytest.raises(KitError) as error:
        open_competition("alike", overrides=["search.neighbours=0", "search.reciprocal_share=2"])
    assert "search.neighbours" in str(error.value) and "search.reciprocal_share" in str(error.value)


def test_keys_of_the_search_that_do_nothing_for_the_task_are_refused(alike):
    with pytest.raises(KitError, match="search.votes does nothing here"):
        open_competition("alike", overrides=["search.votes=3"])
    classes = ["output.task=multiclass", "output.label=none", "output.open_set=true", "output.unknown=none", "score.metric=accuracy", "score.folds.scheme=open_set"]
    with pytest.raises(KitError, match="search.expansion does nothing here"):
        open_competition("alike", overrides=[*classes, "search.expansion=3"])
    with pytest.raises(KitError, match="search.vote_power = 0.0: expected more than 0"):
        open_competition("alike", overrides=[*classes, "search.vote_power=0.0"])


def test_runs_of_other_folds_do_not_blend_where_answers_hang_on_the_fold(alike):
    competition, one = trained("alike")
    _, other = trained("alike", "score.folds.count=4")
    with pytest.raises(KitError, match="were trained on other folds than 1-knn"):
        blend(competition, competition.folder / "data", [one, other], [], Says())


def test_the_ladder_of_a_search_is_what_embeds(alike):
    assert baselines.ladder("alike", preset=None, overrides=[]) == ["knn"]


def test_columns_that_were_learned_without_labels_stand_beside_the_gallery_too(alike):
    pytest.importorskip("torch")
    learned = pretrain(open_competition("alike", overrides=["pretrain.epochs=1"]), alike / "competitions/alike/data", Says())
    competition, run = trained("alike", f"model.weights={learned}")
    answers = (run.folder / "submission.csv").read_bytes()
    assert predicting.predict(run, competition.folder / "data", Says()).read_bytes() == answers
