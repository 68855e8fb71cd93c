"""report.html: says what the run's files say, asks nothing of anyone, stays markup whatever the data hold, and never costs a run."""

import json
import re
import wave
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kit import pipeline, report, reporting, runs
from kit.blend import blend
from kit.cli import app
from kit.competition import open_competition
from kit.errors import RunError
from kit.files import read_json
from kit.fitting import Says
from kit.predictions import Predictions
from kit.reporting.markup import number

VOID = {"img", "meta", "link", "br"}
OUTWARD = ("src", "href", "action", "data", "poster", "srcset", "background", "formaction", "xlink:href")
HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(1)>'</style></title>&amp;"""


class Page(HTMLParser):
    """A page as a browser would take it apart. Raises AssertionError where an element is not closed, or closed twice."""

    def __init__(self, path: Path):
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def titles(self) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", self.source)

    def is_harmless(self) -> None:
        """No script, nothing that a browser would fetch, and a policy that would keep it from fetching."""
        assert {name for name, _ in self.elements} <= {
            *("html", "head", "meta", "link", "title", "style", "body", "main", "header", "section", "article", "div", "p", "h1", "h2", "h3", "span", "b", "strong", "small", "i", "pre", "dl", "dt", "dd"),
            *("img", "audio", "svg", "g", "path", "line", "rect", "circle", "polyline", "text", "title", "image", "defs", "tspan"),
        }
        for name, attributes in self.elements:
            assert not [a for a in attributes if a.startswith("on")], (name, attributes)
            assert all(attributes[a].startswith("data:") for a in OUTWARD if a in attributes), (name, attributes)
            assert "url(" not in attributes.get("style", "") and "javascript:" not in "".join(v or "" for v in attributes.values())
        style = re.search(r"<style>(.*?)</style>", self.source, re.DOTALL)[1]
        assert "url(" not in style and "@import" not in style
        policy = next(a["content"] for a in self.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
        assert "default-src 'none'" in policy and "script-src" not in policy and "http" not in policy
        first = next(n for n, (name, _) in enumerate(self.elements) if name not in ("html", "head", "meta"))
        assert any(a.get("http-equiv") for name, a in self.elements[:first] if name == "meta")  # it holds for all that follows


def page(folder: Path) -> Page:
    found = Page(folder / "report.html")
    found.is_harmless()
    return found


BINARY = ["Score by fold", "Confusion", "Probabilities, by what is true", "Do probabilities hold?", "Test rows beside out of fold", "What the model looks at", "Examples", "To make it again"]


def test_a_run_has_a_report_that_says_what_its_files_say(table):
    folder = table.trained()
    found, info = page(folder), read_json(folder / "run.json")
    assert set(BINARY) <= set(found.titles)
    for told in (info["score"]["mean"], *info["score"]["interval"], info["constant"]):
        assert number(told) in found.text
    assert "kit train toy" in found.text and "report lacks" not in found.text
    oof = Predictions.read(folder / "oof.parquet").rows.set_index("id")["p"]
    sold = pd.DataFrame(table.train[1:], columns=table.train[0]).set_index("id")["sold"].astype(int)
    errors = (sold - oof.loc[sold.index]).abs().sort_values(ascending=False)
    shown = re.findall(r'class="id"[^>]*>id (\d+)<', found.source)
    assert shown[0] == errors.index[0] and len(shown) == len(set(shown))
    said = (oof.loc[sold.index] > 0.5).astype(int)
    confused = pd.crosstab(sold, said)
    told = {(i, j): int(n) for i, j, n in re.findall(r"true (0|1), said (0|1): (\d+) rows", found.source)}
    assert told == {(str(i), str(j)): int(confused.loc[i, j]) for i in (0, 1) for j in (0, 1)}


@pytest.mark.parametrize(
    ("asked", "titles"),
    [
        (("output.task=multiclass", "score.metric=log_loss", "model.name=linear", "model.penalty=1.0"), {"Confusion", "What is said of the test rows"}),
        (("output.task=regression", "score.metric=rmse"), {"Examples"}),
        (("score.metric=f1", "post.threshold=fit", "score.folds.repeats=2"), {"Confusion"}),
        (("train.fold=1",), {"Confusion"}),
        (("train.final=refit", "model.name=constant"), {"Confusion"}),
    ],
    ids=["multiclass", "regression", "threshold", "one-fold", "constant"],
)
def test_reports_of_many_kinds(table, asked, titles):
    folder = table.trained(*asked)
    found = page(folder)
    assert titles <= set(found.titles) and "lacks" not in (folder / "log.txt").read_text()
    assert (" of 60 validated rows: a part of the folds" in found.text) == ("train.fold=1" in asked)


def test_a_blend_has_one_and_names_its_runs(table):
    one, two = table.trained(), table.trained("model.name=linear", "model.penalty=1.0")
    competition = open_competition("toy")
    made = blend(competition, competition.data(None, False), [runs.open_run(one), runs.open_run(two)], [], Says(), method="greedy")
    found = page(made.folder)
    assert "Beside other runs" in found.titles and f"kit blend toy {one.name} {two.name} --method greedy" in found.text
    assert f"a blend of {one.name}, {two.name}" in found.text


def test_whatever_the_data_hold_stays_text(table):
    """Ids, column names, categories, texts and classes that are markup, half characters, and a competition's title."""
    table.train = [[HOSTILE if cell == "colour" else f"{cell}{HOSTILE}" if cell in ("red", "0003") else cell for cell in row] for row in table.train]
    table.test = [[HOSTILE if cell == "colour" else f"{cell}{HOSTILE}" if cell == "red" else cell for cell in row] for row in table.test]
    for n, row in enumerate(table.train[1:]):
        row[0], row[-1] = f"{row[0]}{HOSTILE}\u202e{n}", ["<b>no</b>", f"yes{HOSTILE}"][int(row[-1])]
    table.sample = [[row[0], "yes<"] for row in table.test]
    table.sample[0] = ["id", "sold"]
    table.write()
    table.config((table.folder / "config.toml").read_text().replace("[input]", f"title = '''Toys {HOSTILE}'''\n[input]"))
    folder = table.trained("score.metric=accuracy", "model.rounds=20")
    found = page(folder)
    assert "lacks" not in (folder / "log.txt").read_text()
    assert found.text.count("<script>alert(1)</script>") >= 8 and "\u202e" not in found.source
    for what in ("Toys", "yes", "true <b>no</b>"):
        assert what in found.text
    labels = [w for w in found.words if HOSTILE[:20] in w]
    assert any(w.startswith("id 0") for w in labels) and any(w.startswith(HOSTILE[:20]) for w in labels)  # an id, and the column


def test_without_its_data_a_report_says_what_it_lacks(table):
    folder = table.trained()
    full = (folder / "report.html").read_bytes()
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(folder / "report.html") and (folder / "report.html").read_bytes() == full
    table.data.rename(table.folder / "elsewhere")
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0 and "warning report.html lacks errors and examples" in done.output
    found = page(folder)
    assert "Examples" not in found.titles and "Score by fold" in found.titles and "kit report RUN --data DIR says where they are" in found.text
    again = CliRunner().invoke(app, ["report", str(folder), "--data", str(table.folder / "elsewhere")])
    assert again.exit_code == 0 and (folder / "report.html").read_bytes() == full


def test_data_that_the_run_was_not_made_of_are_refused_and_the_report_stays(table):
    folder = table.trained()
    before = (folder / "report.html").read_bytes()
    table.train[1][1] = "99.0"
    table.write()
    with pytest.raises(RunError, match="name the folder of the files that 1-lightgbm was made of"):
        report.report(runs.open_run(folder), table.data, Says())
    assert (folder / "report.html").read_bytes() == before


def test_an_unfinished_run_has_none(table):
    folder = table.trained()
    info = read_json(folder / "run.json")
    (folder / "run.json").write_text(json.dumps(info | {"state": "started"}))
    with pytest.raises(RunError, match="is not finished\ngive its training command again"):
        report.report(runs.open_run(folder), None, Says())


def test_a_report_that_cannot_be_written_costs_nothing_but_itself(table, monkeypatch):
    written = reporting.writing.write_text

    def full(path, text):
        if path.name == "report.html":
            raise RunError("no space left on the disk")
        written(path, text)

    monkeypatch.setattr(reporting.writing, "write_text", full)
    folder = table.trained()
    assert read_json(folder / "run.json")["state"] == "finished" and (folder / "submission.csv").is_file()
    assert "warning no report.html: no space left on the disk" in (folder / "log.txt").read_text()


def test_a_part_that_cannot_be_made_is_named_and_the_others_stand(table):
    folder = table.trained()
    history = folder / "fold-0" / "history.csv"
    history.write_text("round,fold\n1,none\n")
    report.report(runs.open_run(folder), None, Says())
    found = page(folder)
    assert "Learning curves" not in found.titles and "missing here: learning curves" in found.text and "is no table of numbers" in found.text
    assert "Examples" in found.titles


# --- pictures, sounds, words, neighbours: what a row is, is seen or heard ---------------------------------------------------------

KINDS = ("flat", "round", "square")


def things(adapter: str, save, model: str, more: str = "") -> Path:
    """competitions/things: 36 training files of three kinds at train/KIND/FILE, and six at test/FILE. Its run folder after one training."""
    folder, random = Path("competitions/things"), np.random.default_rng(0)
    for n in range(42):
        place = folder / "data" / ("train" if n < 36 else "test") / (KINDS[n % 3] if n < 36 else "")
        place.mkdir(parents=True, exist_ok=True)
        save(place / f"f{n:02d}", n % 3, random)
    config = f"""
[input]
adapter = "{adapter}"
train = "train"
test = "test"
[output]
target = "class"
task = "multiclass"
[score]
metric = "accuracy"
folds = {{ scheme = "stratified", count = 2 }}
[model]
{model}
[train]
threads = 1
epochs = 1
{more}
"""
    (folder / "config.toml").write_text(config)
    competition = open_competition("things")
    return pipeline.train(competition, competition.data(None, False), Says()).folder


def picture(path: Path, kind: int, random) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = random.integers(0, 90, (120, 160, 3)).astype(np.uint8)
    pixels[:, :, kind] += 140
    image.fromarray(pixels).save(path.with_suffix(".png"))


def tone(path: Path, kind: int, random) -> None:
    seconds = np.arange(8000) / 8000
    wave_of = 0.4 * np.sin(2 * np.pi * (200, 500, 1200)[kind] * seconds) + 0.05 * random.normal(size=8000)
    with wave.open(str(path.with_suffix(".wav")), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((wave_of * 32767).clip(-32768, 32767).astype("<i2").tobytes())


def test_pictures_are_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("torch")
    folder = things("image", picture, 'name = "convnet"', "[augment]\nsize = 16\n")
    found = page(folder)
    shown = found.of("img")
    assert len(shown) >= 6 and all(a["src"].startswith("data:image/jpeg;base64,") and int(a["width"]) <= 96 and a["alt"] == "" for a in shown)
    assert {"Learning curves", "Examples", "Map of the answers"} <= set(found.titles) and "no picture" not in found.text
    broken = next((Path("competitions/things/data/train") / "flat").iterdir())
    size = broken.stat().st_size
    kept = broken.read_bytes()
    broken.write_bytes(kept[: size // 2])
    assert "lacks errors and examples" in CliRunner().invoke(app, ["report", str(folder)]).output  # no longer the files that it was made of
    broken.write_bytes(kept)


def test_a_picture_that_cannot_be_read_is_named_for_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("torch")

    def some(path, kind, random):
        picture(path, kind, random)
        if path.name == "f00":
            whole = path.with_suffix(".png").read_bytes()
            path.with_suffix(".png").write_bytes(whole[:40])

    folder = things("image", some, 'name = "convnet"', "[augment]\nsize = 16\n")
    found = page(folder)
    gone = [w for w in re.findall(r'class="gone">([^<]*)<', found.source)]
    assert all(w for w in gone) and len(found.of("img")) >= 6


def test_sounds_are_heard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("torch")
    pytest.importorskip("soundfile")
    folder = things("audio", tone, 'name = "audio_cnn"\nmels = 16', "[augment.audio]\nseconds = 0.5\n")
    found = page(folder)
    heard = found.of("audio")
    assert heard and all(a["src"].startswith("data:audio/wav;base64,") and a["preload"] == "none" and "autoplay" not in a for a in heard)
    assert len(re.findall('class="outline"', found.source)) >= len(heard)


def test_words_are_read(table):
    words = "a <b>cold</b> harbour & the sea, \u202eas https://example.org/a?b=c told"
    for rows in (table.train, table.test):
        rows[0].append("told")
        for n, row in enumerate(rows[1:]):
            row.append(f"{words} {row[1]} {'long ' * 200 * (n % 2)}")
    table.write()
    table.config((table.folder / "config.toml").read_text().replace("[output]", 'columns = { text = ["told"] }\n[output]'))
    found = page(table.trained("model.name=linear", "model.penalty=1.0"))
    assert "a <b>cold</b> harbour & the sea" in found.text and "https://example.org/a?b=c" in found.text
    assert not found.of("a") and max(len(w) for w in found.words) < 1000


def test_neighbours_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("faiss")
    folder, random = Path("competitions/places"), np.random.default_rng(0)
    labels = []
    for part, many in (("gallery", 36), ("queries", 4)):
        (folder / "data" / part).mkdir(parents=True)
        for n in range(many):
            picture(folder / "data" / part / f"{part[0]}{n:02d}", n % 3, random)
            labels += [(f"{part[0]}{n:02d}", f"place {n % 12}")] if part == "gallery" else []
    pd.DataFrame(labels, columns=["id", "label"]).to_csv(folder / "data" / "labels.csv", index=False)
    config = (Path(__file__).parents[1] / "templates/retrieval/config.toml").read_text()
    (folder / "config.toml").write_text(config)
    asked = ["model.architecture=test_convnext", "model.weights=none", "model.width=8", "augment.size=64", "train.epochs=1", "score.folds.count=2", "train.threads=1"]
    competition = open_competition("places", overrides=asked)
    run = pipeline.train(competition, competition.data(None, False), Says()).folder
    found = page(run)
    assert {"Where the first right one stands", "Map of the embeddings", "Examples"} <= set(found.titles)
    near = re.findall(r'class="near (good|bad)" title="(g\d\d): (right|wrong)"', found.source)
    assert near and all((a == "good") == (c == "right") for a, _, c in near)
    of = dict(labels)
    oof = Predictions.read(run / "oof.parquet").rows.set_index("id")["neighbours"]
    first = re.findall(r'<article>.*?class="near (good|bad)" title="(g\d\d).*?class="id" title="(g\d\d)"', found.source)
    assert first and all(oof[id][0] == name and (verdict == "good") == (of[id] == of[name]) for verdict, name, id in first)


@pytest.mark.slow
def test_many_rows_and_many_classes_make_a_page_below_five_megabytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, random = Path("competitions/many"), np.random.default_rng(0)
    (folder / "data").mkdir(parents=True)
    kinds = random.integers(0, 1000, 50_000)
    train = pd.DataFrame({f"x{n}": random.normal(size=50_000).round(4) for n in range(30)}).assign(kind=[f"kind of thing {k}" for k in kinds])
    train.insert(0, "id", [f"row {n}" for n in range(50_000)])
    train.to_csv(folder / "data" / "train.csv", index=False)
    test = train.drop(columns="kind").iloc[:100].assign(id=[f"test {n}" for n in range(100)])
    test.to_csv(folder / "data" / "test.csv", index=False)
    test[["id"]].assign(kind="kind of thing 1").to_csv(folder / "data" / "sample_submission.csv", index=False)
    (folder / "config.toml").write_text("""
[input]
sample_submission = "sample_submission.csv"
[output]
target = "kind"
task = "multiclass"
[score]
metric = "accuracy"
folds = { scheme = "stratified", count = 2 }
[model]
name = "constant"
""")
    competition = open_competition("many")
    run = pipeline.train(competition, competition.data(None, False), Says()).folder
    found = page(run)
    assert (run / "report.html").stat().st_size < 5_000_000
    assert "20000 rows drawn from 50000" in found.text.replace("\N{NARROW NO-BREAK SPACE}", "") and "Classes by their recall" in found.titles
