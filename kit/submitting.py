"""A run's submission to Kaggle: looked at first, sent once, read back, and its score written into the run.

What was sent is known by its hash, which ends its description: an upload that broke off is found again in Kaggle's own list, and is neither
sent nor counted twice.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kit import files, runs
from kit.competition import Competition
from kit.errors import KitError, RunError, SubmissionError, bullets
from kit.fitting import Says
from kit.modelling import begun_with
from kit.pipeline import UNSCORED, write_submission
from kit.predict import adapter_of, competition_of, members
from kit.predictions import Predictions
from kit.pseudo import files_of, source_of
from kit.registry import needed
from kit.runs import Run

PATIENCE = 600.0  # seconds until a score is no longer waited for
STEPS = (2.0, 3.0, 5.0, 10.0, 20.0, 30.0)  # seconds between two looks; the last is repeated
TRIES = 3  # uploads that were not counted before it is given up
LONGEST = 400  # letters of a description
_SKEW = timedelta(minutes=10)  # by which this machine's clock may be ahead of Kaggle's
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)


def submit(
    run: Run,
    data: Path | None,
    says: Says,
    *,
    message: str,
    sure: Callable[[str], bool],
    again: bool = False,
    anyway: bool = False,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> float:
    """Checks and sends a run's submission.csv, waits until Kaggle has scored it, and gives its public score.

    message  what Kaggle's list shows; "" for the run's name and score
    sure     asked with what is about to be done, before it is
    again    sends what was sent before once more
    anyway   sends a run that is unscored, that covers a part of the rows, or that was trained on other files than Kaggle's
    Raises KitError for whatever speaks against sending it, and where Kaggle gives no score. From the moment that it is on its way the run's `leaderboard` tells
    of it, and the same call goes on with it.
    """
    competition = competition_of(run)
    slug, path = competition.config.kaggle, run.folder / "submission.csv"
    if not slug:
        raise KitError(f'{run.folder} is of no competition of Kaggle\nadd kaggle = "…" to the top of {run.folder / "config.toml"}: the last word of its address')
    print_ = look(run, competition, competition.data(data, False), anyway, says)
    account = needed("kit.kaggle", "kit submit").Kaggle(says.progress, pause)
    mark = f"[kit {print_[:12]}]"
    sent = _record(run)
    if sent.get("sha256") == print_ and sent.get("state") in ("sending", "sent"):
        says.progress(f"note    {path} is on its way since {sent['date']}: Kaggle's list is read first")
    else:
        _takes_files(account.competition(slug), slug, run)
        earlier = _earlier(account, slug, mark, run, print_)
        if earlier and not again:
            raise SubmissionError(f"{path} was sent before: {earlier}\n--again sends it once more")
        today = _budget(account, slug, now())
        description = f"{(message or _about(run))[: LONGEST - len(mark) - 1].strip()} {mark}"
        says.result(f"file    {path}, {path.stat().st_size:,} bytes, sha256 {print_[:12]}")
        says.result(f"to      {slug}: {description}")
        says.result(f"today   {today}")
        if not sure(f"send {path} to {slug}"):
            raise KitError("nothing was sent")
        newest = max((one.ref for one in account.submissions(slug, _ALWAYS)), default=0)
        sent = {"public": None, "private": None, "state": "sending", "date": _text(now()), "sha256": print_, "description": description, "after": newest}
        run.save(leaderboard=sent)
    ref = _sent(account, slug, run, path, mark, says, pause)
    return _scored(account, slug, run, ref, says, pause)


# --- before ----------------------------------------------------------------------------------------------------------------------


def look(run: Run, competition: Competition, data: Path, anyway: bool, says: Says) -> str:
    """SHA-256 of the run's submission.csv, if nothing speaks against sending it. Raises SubmissionError with all that does.

    The file is made anew from the run's predictions, and checked against the sample and the test ids of `data` on the way.
    """
    if run.info.get("state") != "finished":
        raise RunError(f"{run.folder} is not finished: it has no submission\ngive its training command again: it goes on where it stopped")
    path, problems = run.folder / "submission.csv", []
    if not path.is_file():
        raise SubmissionError(f"{path} is missing: is its folder a whole run?")
    if run.info["score"] == UNSCORED:
        problems.append(f"{run.name} is unscored: nothing tells whether it is better than a constant")
    elif run.info["covered"] < run.info["validated"]:
        problems.append(f"{run.name} covers {run.info['covered']} of {run.info['validated']} rows: it is a quick look, not a whole run")
    problems += _other_data(run, competition, data)
    if problems and not anyway:
        raise SubmissionError(bullets(problems) + "\n--anyway sends it all the same")
    for problem in problems:
        says.progress(f"warning {problem}")
    adapter, metric = adapter_of(run, competition, data, says), competition.metric()
    with TemporaryDirectory(prefix="submission-") as room:
        anew = Path(room) / path.name
        write_submission(adapter, adapter.task, metric, Predictions.read(run.folder / "test.parquet"), run.info["post"], anew)
        print_ = files.digest(path)
        if files.digest(anew) != print_:
            raise SubmissionError(f"{path} is not what the run's predictions make\nwas it changed? `kit verify {path}` shows where; files of your own are sent by: kaggle competitions submit")
    return print_


def _other_data(run: Run, competition: Competition, data: Path) -> list[str]:
    """Whether the run, or a run that it is a blend of, was trained on other files than those in `data`."""
    found = []
    for member in members(run):
        if _trained_on(member, data):
            continue
        sample = competition.home / "sample"
        if sample.is_dir() and sample.resolve() != data.resolve() and _trained_on(member, sample):
            found.append(f"{member.name} was trained on the made data in {sample}")
        else:
            found.append(f"{member.name} was trained on other files than those in {data}; --data names others")
    return found


def _trained_on(run: Run, data: Path) -> bool:
    competition = competition_of(run)
    source = source_of(competition) if competition.config.train.get("pseudo") else None
    return files.fingerprint([*competition.open_adapter(data).files(), *begun_with(competition), *files_of(source)]) == run.info["data"]


def _takes_files(told: Any, slug: str, run: Run) -> None:
    """Raises KitError for a competition that takes no files from this account."""
    page = f"https://www.kaggle.com/competitions/{slug}"
    if told.is_kernels_submissions_only:
        raise KitError(f"{slug} is a code competition: it takes notebooks, not files\nmake one that runs there: kit bundle {run.folder}")
    if told.submissions_disabled:
        raise KitError(f"{slug} takes no submissions now\nsee {page}")
    if not told.user_has_entered:
        raise KitError(f"you have not entered {slug}\naccept its rules, once, at {page}/rules, then give the same command again")


def _earlier(account: Any, slug: str, mark: str, run: Run, print_: str) -> str:
    """When the same file was sent, by this run, by another, or from elsewhere; "" if it was not."""
    for known in runs.listed(run.folder.parent):
        sent = _record(known)
        if sent.get("sha256") == print_ and sent.get("state") == "complete":
            return f"by {known.name} on {sent['date']}, public score {sent['public']}"
    same = [one for one in account.submissions(slug, _ALWAYS) if mark in (one.description or "") and one.status.name != "ERROR"]
    return f"on {_text(account.when(same[0]))}, public score {same[0].public_score or 'not there yet'}" if same else ""


def _budget(account: Any, slug: str, now: datetime) -> str:
    """How many of today's submissions are used; the day is UTC's. Raises SubmissionError, saying when the next is possible, if none is left."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    told, most = account.allowed(slug), account.competition(slug).max_daily_submissions
    counted = [one for one in account.submissions(slug, midnight) if one.status.name != "ERROR"]
    used = max(told.num_today, len(counted))
    left = max(most - used, 0) if most else None
    if told.num_allowed_now or told.num_total:  # all are 0 before an account's first submission, when it is of no team
        left = told.num_allowed_now if left is None else min(left, told.num_allowed_now)
    if left == 0 and told.limited_by_total:
        raise SubmissionError(f"no submission to {slug} is left: all {told.num_total} of the whole competition are used")
    if left == 0:
        next_ = midnight + timedelta(days=1)
        wait = int((next_ - now).total_seconds() // 60) + 1
        raise SubmissionError(
            f"no submission to {slug} is left today: {used} of {most or used} are used\n"
            f"the next is possible from {_text(next_)} on, in {wait // 60} h {wait % 60} min ({next_.astimezone():%H:%M} here)"
        )
    return f"{used} of {most or '?'} used, {'some' if left is None else left} left until 00:00 UTC"


def _about(run: Run) -> str:
    score = run.info["score"]
    return f"{run.name}, {run.info['metric']} {score}" if score == UNSCORED else f"{run.name}, {run.info['metric']} {score['mean']:.6g} out of fold"


# --- there and back --------------------------------------------------------------------------------------------------------------


def _sent(account: Any, slug: str, run: Run, path: Path, mark: str, says: Says, pause: Callable[[float], None]) -> int:
    """The number by which Kaggle's list has it. Each time, the list is read before anything is sent: an upload without an answer may be in it."""
    sent = _record(run)
    if sent.get("ref"):
        return sent["ref"]
    trouble = None
    for n in range(TRIES + 1):
        if n:
            pause(STEPS[n])
        since = datetime.fromisoformat(sent["date"]) - _SKEW
        mine = [one for one in account.submissions(slug, since) if one.ref > sent["after"] and mark in (one.description or "")]
        if mine:
            run.save(leaderboard=sent | {"state": "sent", "ref": mine[-1].ref})
            return mine[-1].ref
        if trouble is not None and (not trouble.passing or n == TRIES):
            break
        if sent["state"] == "sent":
            continue  # it was accepted, and the list is late
        found = account.send(slug, str(path), sent["description"])
        if hasattr(found, "passing"):
            trouble = found
            says.progress("note    no answer to the upload: Kaggle's list is read, whether it was counted")
        else:
            trouble, sent = None, sent | {"state": "sent", "ref": found.ref}
            run.save(leaderboard=sent)
            if found.ref:
                return found.ref
    if sent["state"] == "sent":
        raise KitError(f"{path} was sent, and is not in Kaggle's list yet\nthe same command looks again, and sends nothing twice")
    run.save(leaderboard=sent | {"state": "not sent"})
    raise account.error(trouble, slug)


def _scored(account: Any, slug: str, run: Run, ref: int, says: Says, pause: Callable[[float], None]) -> float:
    """Kaggle's public score, as soon as its list has it; what it says stands in the run."""
    sent, waited, steps = _record(run), 0.0, iter(STEPS)
    says.progress(f"sent    number {ref}: waiting for the score (Ctrl-C is safe: the same command looks again)")
    since = datetime.fromisoformat(sent["date"]) - _SKEW
    while True:
        one = next((one for one in account.submissions(slug, since) if one.ref == ref), None)
        status = one.status.name if one is not None else "PENDING"
        if status == "COMPLETE" and one.public_score:
            break
        if status == "ERROR":
            run.save(leaderboard=sent | {"state": "failed"})
            why = account.without_secrets(one.error_description or "it does not say why")
            raise SubmissionError(f"Kaggle could not score {run.folder / 'submission.csv'}: {why}\nsee https://www.kaggle.com/competitions/{slug}/submissions")
        if waited >= PATIENCE:
            where = "it has no public score" if status == "COMPLETE" else "it has no score yet"
            raise KitError(f"{run.folder / 'submission.csv'} was sent, and after {waited / 60:.0f} minutes {where}\nthe same command looks again, and sends nothing twice")
        step = next(steps, STEPS[-1])
        pause(step)
        waited += step
    public, private = _number(one.public_score), _number(one.private_score)
    run.save(leaderboard=sent | {"state": "complete", "date": _text(account.when(one)), "public": public, "private": private})
    run.log(f"sent    {_text(account.when(one))} to {slug}, number {ref}: public score {public}")
    if public is None:
        raise KitError(f"Kaggle's score of {run.folder / 'submission.csv'} is no number: {account.without_secrets(one.public_score)}")
    return public


def _record(run: Run) -> dict[str, Any]:
    """What the run says of its submission; nothing where a score was written there by hand."""
    told = run.info.get("leaderboard")
    return told if isinstance(told, dict) else {}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
