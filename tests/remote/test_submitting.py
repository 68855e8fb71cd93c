"""`kit submit` through the real client: looked at first, sent once, read back, and its score in the run."""

import io
import json
import os
import pty
import subprocess
import sys
import traceback
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kit import comparing, runs
from kit.errors import KitError
from kit.files import digest, read_json
from kit.fitting import Says
from kit.submitting import PATIENCE, STEPS, submit

pytestmark = pytest.mark.usefixtures("no_secrets")
RUN = Path("competitions/toy/runs/1-lightgbm")


@pytest.fixture
def toy(table, server):
    """competitions/toy, "toy-slug" on Kaggle, with one run."""
    table.config('kaggle = "toy-slug"\n' + (table.folder / "config.toml").read_text())
    table.trained()
    return table


class Sent:
    """submit(), with the pauses that it made and the lines that it told."""

    def __init__(self):
        self.pauses, self.lines, self.asked = [], [], []

    def __call__(self, run=RUN, data=None, **options) -> float:
        says = Says(self.lines.append, self.lines.append)
        options = {"message": "", "sure": lambda what: self.asked.append(what) or True, "pause": self.pauses.append} | options
        return submit(runs.open_run(run), data, says, **options)

    def complaint(self, run=RUN, **options) -> str:
        with pytest.raises(KitError) as error:
            self(run, **options)
        told = "".join(traceback.format_exception(error.value)) + repr(error.value.__context__) + "".join(self.lines)
        assert "5ecre7" not in told and "s1gned" not in told
        return str(error.value)


@pytest.fixture
def send(toy) -> Sent:
    return Sent()


def record(run: Path = RUN) -> dict:
    return read_json(run / "run.json")["leaderboard"]


def uploads(server) -> int:
    return len(server.requests("CreateSubmission"))


# there and back


def test_a_run_is_sent_read_back_and_has_its_score(send, server):
    assert send() == 0.7799 and send.pauses == [STEPS[0]]
    assert server.uploads["last"] == (RUN / "submission.csv").read_bytes()
    print_ = digest(RUN / "submission.csv")
    told = record()
    assert (told["public"], told["private"], told["state"], told["sha256"], told["ref"]) == (0.7799, None, "complete", print_, 1000)
    assert datetime.fromisoformat(told["date"]).tzinfo is not None
    assert server.submissions[0]["description"].endswith(f" out of fold [kit {print_[:12]}]") and server.submissions[0]["description"].startswith("1-lightgbm, log_loss 0.")
    assert send.asked == [f"send {RUN}/submission.csv to toy-slug"]
    assert send.lines[2] == "today   0 of 5 used, 5 left until 00:00 UTC"
    assert (RUN / "log.txt").read_text().splitlines()[-1].endswith("to toy-slug, number 1000: public score 0.7799")


def test_the_command_prints_the_score_alone_on_its_last_line(toy, server, kit):
    server.scores = [("COMPLETE", "0.77990")]
    code, out, err = kit("submit", RUN, "--yes", "--message", "first of all")
    assert code == 0 and out[-1] == "0.7799" and [line.split()[0] for line in out[:-1]] == ["file", "to", "today"]
    assert server.submissions[0]["description"].startswith("first of all [kit ")
    code, out, _ = kit("runs", "toy")
    assert "| leaderboard 0.7799" in out[0] and comparing.leaderboard(runs.open_run(RUN)) == 0.7799


def test_without_a_terminal_it_must_be_told(toy, server, kit, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    code, _, err = kit("submit", RUN)
    assert code == 1 and err[-2:] == [f"kit: send {RUN}/submission.csv to toy-slug? there is no terminal to answer on", "     --yes says so beforehand"]
    assert uploads(server) == 0 and "leaderboard" not in read_json(RUN / "run.json")


@pytest.mark.parametrize(("answer", "code", "sent"), [("y\n", 0, 1), ("n\n", 1, 0)])
def test_a_terminal_is_asked(toy, server, answer, code, sent):
    server.scores = [("COMPLETE", "0.77990")]
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    program = (
        "import sys; from kagglesdk import kaggle_env as env; env._env_to_endpoint[env.KaggleEnv.PROD] = sys.argv.pop(1)\n"
        "from kit.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, server.api, "submit", str(RUN)], stdin=theirs, capture_output=True, text=True, timeout=60)
    os.close(ours), os.close(theirs)
    assert done.returncode == code and uploads(server) == sent, done.stderr
    assert f"send {RUN}/submission.csv to toy-slug?" in done.stderr
    assert done.stdout.splitlines()[-1] == ("0.7799" if sent else "today   0 of 5 used, 5 left until 00:00 UTC")
    assert sent or done.stderr.endswith("kit: nothing was sent\n")


def test_a_score_that_does_not_come_is_not_waited_for_without_end(send, server):
    server.scores = [("PENDING", "")]
    told = send.complaint()
    assert told == f"{RUN}/submission.csv was sent, and after 10 minutes it has no score yet\nthe same command looks again, and sends nothing twice"
    assert PATIENCE <= sum(send.pauses) < PATIENCE + STEPS[-1]
    assert record()["state"] == "sent" and comparing.leaderboard(runs.open_run(RUN)) is None
    server.scores = [("COMPLETE", "0.5")]
    assert send() == 0.5 and uploads(server) == 1


def test_an_interruption_while_waiting_loses_nothing(send, server):
    with pytest.raises(KeyboardInterrupt):
        send(pause=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert record()["state"] == "sent" and record()["ref"] == 1000
    assert send() == 0.7799 and uploads(server) == 1


def test_what_kaggle_cannot_score_is_told_and_may_be_sent_again(send, server):
    server.scores = [("ERROR", "")]
    assert send.complaint().startswith(f"Kaggle could not score {RUN}/submission.csv: the id column is strange\nsee https://www.kaggle.com/competitions/toy-slug/submissions")
    assert record()["state"] == "failed"
    server.scores = [("COMPLETE", "0.5")]
    assert send() == 0.5 and uploads(server) == 2


# once


def test_the_same_file_is_not_sent_twice_unless_told(send, server):
    send()
    told = send.complaint()
    assert told.startswith(f"{RUN}/submission.csv was sent before: by 1-lightgbm on 20") and told.endswith("public score 0.7799\n--again sends it once more")
    server.scores = [("PENDING", ""), ("COMPLETE", "0.6")]
    assert send(again=True) == 0.6 and uploads(server) == 2 and record()["ref"] == 1001


def test_a_file_that_was_sent_from_elsewhere_is_known_by_its_hash(send, server):
    server.sent_before(f"of another machine [kit {digest(RUN / 'submission.csv')[:12]}]", timedelta(days=40), score="0.4")
    assert "was sent before: on 20" in send.complaint() and "public score 0.4" in send.complaint() and uploads(server) == 0


def test_an_upload_whose_answer_is_lost_is_found_and_not_sent_again(send, server):
    server.faults.append(("after CreateSubmission", 0, {}, ""))
    assert send() == 0.7799
    assert uploads(server) == 1 and len(server.submissions) == 1
    assert "note    no answer to the upload: Kaggle's list is read, whether it was counted" in send.lines


def test_an_upload_that_was_stopped_after_it_was_counted_is_found(send, server):
    server.faults.append(("after CreateSubmission", 0, {}, ""))
    with pytest.raises(KeyboardInterrupt):
        send(pause=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert record()["state"] == "sending" and uploads(server) == 1
    assert send() == 0.7799 and uploads(server) == 1


def test_an_upload_that_was_stopped_before_it_was_counted_is_sent(send, server):
    server.fault("CreateSubmission", 503)
    with pytest.raises(KeyboardInterrupt):
        send(pause=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert record()["state"] == "sending" and not server.submissions
    assert send() == 0.7799 and len(server.submissions) == 1


def test_an_upload_that_breaks_off_goes_on_and_counts_once(send, server):
    server.upload_cuts = [100]
    assert send() == 0.7799
    assert server.uploads["last"] == (RUN / "submission.csv").read_bytes() and len(server.submissions) == 1


def test_an_upload_that_never_gets_through_is_told(send, server):
    server.fault("CreateSubmission", 503, times=9)
    assert send.complaint().startswith("Kaggle: error 503 of its server")
    assert record()["state"] == "not sent" and not server.submissions
    server.faults.clear()
    assert send() == 0.7799


def test_a_refusal_is_told_in_kaggles_own_words_without_the_token(send, server):
    server.fault("CreateSubmission", 400, f"Submission not allowed for {server.token}: the deadline has passed")
    assert send.complaint() == "Kaggle refuses (400): Submission not allowed for …: the deadline has passed\nsee https://www.kaggle.com/competitions/toy-slug"
    assert uploads(server) == 1


# the budget


def test_the_day_s_limit_says_when_the_next_is_possible(send, server):
    server.most = 2
    server.sent_before("one")
    server.sent_before("two")
    today = datetime.fromisoformat(server.submissions[0]["date"])
    told = send.complaint(now=lambda: today.replace(hour=21, minute=29))
    tomorrow = (today + timedelta(days=1)).date()
    assert told.startswith(f"no submission to toy-slug is left today: 2 of 2 are used\nthe next is possible from {tomorrow}T00:00:00+00:00 on, in 2 h ")
    assert uploads(server) == 0 and not send.asked


def test_yesterday_and_failures_do_not_count(send, server):
    server.most = 2
    server.sent_before("yesterday", timedelta(days=1))
    server.sent_before("failed", status="ERROR")
    server.allowed = None
    server.submissions[1]["date"] = server.submissions[0]["date"]
    assert send() == 0.7799 and "today   0 of 2 used, 2 left until 00:00 UTC" in send.lines


def test_the_limit_of_the_whole_competition_is_told(send, server):
    server.sent_before("one", timedelta(days=3))
    server.allowed = 0
    assert send.complaint() == "no submission to toy-slug is left: all 1 of the whole competition are used"


def test_the_limit_holds_before_an_account_s_first_submission(send, server):
    assert send() == 0.7799  # numAllowedNow is 0 as long as there is no team


# looked at first


def test_a_code_competition_is_told_apart(send, server):
    server.code_only = True
    assert send.complaint() == f"toy-slug is a code competition: it takes notebooks, not files\nmake one that runs there: kit bundle {RUN}"


def test_one_must_have_entered(send, server):
    server.rules = False
    assert send.complaint().startswith("you have not entered toy-slug\naccept its rules, once, at https://www.kaggle.com/competitions/toy-slug/rules")


def test_a_file_that_was_edited_is_not_sent(send, server):
    with open(RUN / "submission.csv", "a") as file:
        file.write("0099,0.5\n")
    assert f"{RUN}/submission.csv is not what the run's predictions make\n" in send.complaint() and not server.asked


def test_a_submission_that_lacks_a_test_row_is_not_sent(send, toy, server):
    toy.test.append(["0099", "0.1", "red", "2020-01-01"])
    toy.sample.append(["0099", "0.5"])
    toy.write()
    assert "1 ids of sample_submission.csv are not in test.csv: 0099" in send.complaint(anyway=True) and not server.asked


def test_a_run_on_made_or_other_data_is_not_sent_unless_told(toy, server, kit, send):
    kit("train", "toy", "--sample")
    run = Path("competitions/toy/runs/2-lightgbm")
    assert send.complaint(run) == "2-lightgbm was trained on the made data in competitions/toy/sample\n--anyway sends it all the same"
    toy.column("colour", lambda _: "red")
    toy.write()
    assert send.complaint().startswith("1-lightgbm was trained on other files than those in competitions/toy/data; --data names others\n")
    assert not server.asked


def test_a_part_of_a_run_is_not_sent_unless_told(toy, server, send):
    run = toy.trained("train.fold=0")
    assert send.complaint(run) == "2-lightgbm covers 30 of 60 rows: it is a quick look, not a whole run\n--anyway sends it all the same"
    assert send(run, anyway=True) == 0.7799
    assert any(line.startswith("warning 2-lightgbm covers 30 of 60 rows") for line in send.lines)


def test_an_unfinished_run_is_not_sent(toy, send):
    info = read_json(RUN / "run.json")
    (RUN / "run.json").write_text(json.dumps(info | {"state": "interrupted"}))
    assert send.complaint().startswith(f"{RUN} is not finished: it has no submission\n")


def test_a_blend_is_sent_as_a_run_is(toy, server, kit, send):
    toy.trained("model.rounds=8")
    _, out, _ = kit("blend", "toy", "1-lightgbm", "2-lightgbm")
    assert send(Path(out[-1]).parent) == 0.7799


def test_no_token_and_a_wrong_one(send, server, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_another")
    assert send.complaint().startswith("Kaggle does not accept the token in KAGGLE_API_TOKEN")
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert send.complaint().startswith("Kaggle is not told who you are: there is no token")


def test_no_such_competition(send, server):
    server.exists = False
    assert send.complaint().startswith('no competition "toy-slug" on Kaggle')


def test_a_run_of_no_competition_of_kaggle(table):
    table.trained()
    assert Sent().complaint().startswith(f"{RUN} is of no competition of Kaggle\n")
