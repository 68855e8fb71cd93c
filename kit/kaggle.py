"""The installed Kaggle client: who is asking, what is asked, and what its errors mean.

The client signs in while it is imported, so this module is imported only inside the functions that need it. It keeps the credentials; they
are neither copied nor shown, and since its own error texts hold signed addresses, errors are raised anew without them.
"""

import io
import json
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

if find_spec("kaggle") is None:
    raise ModuleNotFoundError("kaggle is not installed", name="kaggle")  # the extra is known by this name

import requests
from kagglesdk import get_access_token_from_env, kaggle_client
from kagglesdk.competitions.types.competition_api_service import (
    ApiDownloadDataFileRequest,
    ApiDownloadDataFilesRequest,
    ApiGetCompetitionRequest,
    ApiListDataFilesRequest,
    ApiListSubmissionsRequest,
)

from kit.errors import KitError

SITE = "https://www.kaggle.com"
LIMIT = (20, 60)  # seconds until connected, and between bytes
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each new try
LONGEST = 120.0  # seconds that are waited where Kaggle says how long; beyond, the user is told
PAGE = 100  # rows of a list asked for at once
NO_JSON = -1  # in the place of a status


class Unanswered(KitError):
    """Kaggle gave no answer, or one that says "later", as often as was tried."""


@dataclass(frozen=True)
class Trouble:
    """
    status  of HTTP; 0 where there was no answer, NO_JSON where it was none of the API's
    said    Kaggle's own words, without anything secret
    wait    seconds that Kaggle asks to wait
    """

    status: int
    said: str = ""
    wait: float = 0.0

    @property
    def passing(self) -> bool:
        return self.status in (0, 408, 425, 429) or self.status >= 500


class _Adapter(requests.adapters.HTTPAdapter):
    def send(self, request, stream=False, timeout=None, **kwargs):
        return super().send(request, stream=stream, timeout=timeout or LIMIT, **kwargs)


class _Limited(kaggle_client.KaggleHttpClient):
    """The client's way to ask, with a time limit, for which it has no option; and never verbose, since that prints the token."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._verbose = False

    def _init_session(self):
        new = self._session is None
        super()._init_session()
        if new:
            self._session.headers["Accept-Encoding"] = "identity"  # a file that is packed on its way cannot be gone on with
            for scheme in ("https://", "http://"):
                self._session.mount(scheme, _Adapter())
        return self._session


kaggle_client.KaggleHttpClient = _Limited  # before the client is imported, since it asks at once
with redirect_stdout(io.StringIO()):  # and explains itself on standard output, which is for results
    from kaggle.api.kaggle_api_extended import KaggleApi, ResumableUploadResult


class _Client(KaggleApi):
    pause = staticmethod(time.sleep)

    def upload_complete(self, path, url, quiet, resume=False):
        """Goes on with an upload that broke off."""
        outcome = super().upload_complete(path, url, quiet, resume)
        for wait in WAITS:
            if outcome != ResumableUploadResult.INCOMPLETE:
                break
            self.pause(wait)
            outcome = super().upload_complete(path, url, quiet, resume=True)
        return outcome


class Kaggle:
    """One account. Every question is asked again a few times where trouble may pass; what remains is a KitError that says what to do."""

    def __init__(self, progress: Callable[[str], None], pause: Callable[[float], None] = time.sleep):
        """Signs in. Raises KitError where there is no token, or Kaggle does not accept it."""
        self.progress, self.pause = progress, pause
        self.client = _Client()
        self.client.pause = pause
        self.answer(self._sign_in, "")
        self._asks = self.client.build_kaggle_client().competitions.competition_api_client

    def _sign_in(self) -> None:
        try:
            self.client.authenticate()
        except SystemExit:  # the client's way to say that nothing was accepted
            source = get_access_token_from_env()[1]
            raise _no_token() if source is None else _wrong_token(_places(source)) from None

    def answer(self, ask: Callable[[], Any], slug: str, gained: Callable[[], bool] = lambda: False) -> Any:
        """What `ask` gives. `gained` tells whether a failed try brought something, in which case trying begins anew."""
        tries = 0
        while isinstance(found := self.attempt(ask), Trouble):
            tries = 0 if gained() else tries
            if not found.passing or tries == len(WAITS) or found.wait > LONGEST:
                raise self.error(found, slug)
            wait = max(found.wait, WAITS[tries])
            tries += 1
            self.progress(f"note    Kaggle: {_reason(found)}; trying again in {wait:.0f} s")
            self.pause(wait)
        return found

    def attempt(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives, or the Trouble with it."""
        try:
            with redirect_stdout(io.StringIO()):
                return ask()
        except requests.HTTPError as error:
            return self._trouble(error.response)
        except json.JSONDecodeError:
            return Trouble(NO_JSON)
        except requests.RequestException:
            return Trouble(0)

    def _trouble(self, response: requests.Response | None) -> Trouble:
        if response is None:
            return Trouble(0)
        try:
            told = response.json()
            said = str(told.get("message", "")) if isinstance(told, dict) else ""
        except (ValueError, requests.RequestException):
            told, said = None, ""
        status = response.status_code
        if status < 400 and isinstance(told, dict):
            status = int(told.get("code", 500))
        try:
            wait = max(0.0, float(response.headers.get("Retry-After", 0)))
        except ValueError:  # a date
            wait = 0.0
        response.close()
        return Trouble(status, self.without_secrets(said), wait)

    def without_secrets(self, text: str) -> str:
        """One line of it, in which no credential stands."""
        held = [self.client.config_values.get(key) for key in ("token", "key", "api_token")] + [get_access_token_from_env()[0]]
        for secret in filter(None, held):
            text = text.replace(secret, "…")
        return " ".join(text.split())[:300]

    def error(self, trouble: Trouble, slug: str) -> KitError:
        """What a trouble means, and what to do."""
        page = f"{SITE}/competitions/{slug}"
        said = f": {trouble.said}" if trouble.said else ""
        if trouble.status == 401:
            return _wrong_token(_places(get_access_token_from_env()[1]))
        if trouble.status == 403:
            return KitError(
                f"Kaggle does not let you into {slug}{said}\n"
                f"accept its rules, once, at {page}/rules (some ask for a verified phone number), then give the same command again\n"
                "where you have done so, it is private, or closed to new entrants"
            )
        if trouble.status == 404:
            return KitError(f'no competition "{slug}" on Kaggle, or nothing of that name in it{said}\nits name is the last word of its address, {page}: mend `kaggle` in config.toml')
        if trouble.status == 429:
            return Unanswered(f"Kaggle asks for patience: too many requests{said}\nwait {_minutes(trouble.wait)}, then give the same command again: it goes on where it stopped")
        if trouble.passing:
            return Unanswered(f"Kaggle: {_reason(trouble)}, {len(WAITS) + 1} times\nis the network there? the same command goes on where it stopped")
        if trouble.status == NO_JSON:
            return KitError("what came from Kaggle is no answer of its API\nis a proxy or a login page in between? else the client is too old: pip install --upgrade kaggle")
        return KitError(f"Kaggle refuses ({trouble.status}){said}\nsee {page}")

    # what is asked

    def competition(self, slug: str) -> Any:
        """ApiCompetition of the client: is_kernels_submissions_only, max_daily_submissions, user_has_entered, …"""
        request = ApiGetCompetitionRequest()
        request.competition_name = slug
        return self.answer(lambda: self._asks.get_competition(request), slug)

    def files(self, slug: str, most: int) -> list[tuple[str, int]] | None:
        """(name, bytes, 0 where it is not said) of each data file; None if there are more than `most`."""
        request, found = ApiListDataFilesRequest(), []
        request.competition_name, request.page_size = slug, PAGE
        while True:
            page = self.answer(lambda: self._asks.list_data_files(request), slug)
            found += [(file.name, file.total_bytes) for file in page.files]
            if len(found) > most:
                return None
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def open_file(self, slug: str, name: str | None) -> requests.Response:
        """A data file as a stream, or all of them in one zip. Raises what requests raises: `answer` asks again."""
        if name is None:
            request = ApiDownloadDataFilesRequest()
            request.competition_name = slug
            return self._asks.download_data_files(request)
        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = slug, name
        return self._asks.download_data_file(request)

    def rest_of(self, response: requests.Response, start: int, same: str) -> requests.Response | None:
        """A file from byte `start` on (status 206), the whole of it where it is no longer the `same`, or None where it has no such part."""
        request = response.request.copy()  # where the file really lies, without what the client may not send there
        response.close()
        request.headers.update({"Range": f"bytes={start}-", "If-Range": same})
        with requests.Session() as session:
            settings = session.merge_environment_settings(request.url, {}, True, None, None)
            rest = session.send(request, timeout=LIMIT, **settings)
        if rest.status_code == 416 or rest.status_code == 206 and not rest.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            rest.close()
            return None
        rest.raise_for_status()
        return rest

    def allowed(self, slug: str) -> Any:
        """ApiSubmissionLimits of the client: num_today, num_total, num_allowed_now, limited_by_total."""
        return self.answer(lambda: self.client.competition_get_submission_limits(slug), slug)

    def submissions(self, slug: str, since: datetime) -> list[Any]:
        """ApiSubmission of each one sent since then, the newest first."""
        request, found = ApiListSubmissionsRequest(), []
        request.competition_name, request.page_size = slug, PAGE
        while True:
            page = self.answer(lambda: self._asks.list_submissions(request), slug)
            new = [one for one in page.submissions if self.when(one) >= since]
            found += new
            if not page.next_page_token or len(new) < len(page.submissions):
                return sorted(found, key=lambda one: one.ref, reverse=True)
            request.page_token = page.next_page_token

    @staticmethod
    def when(submission: Any) -> datetime:
        """The moment, in UTC, that Kaggle gives a submission."""
        return submission.date.replace(tzinfo=UTC)

    def send(self, slug: str, path: str, description: str) -> Any:
        """The answer to one upload, or the Trouble with it: after that, only the list of submissions tells whether it was counted."""
        answer = self.attempt(lambda: self.client.competition_submit(path, description, slug, quiet=True))
        failed = getattr(answer, "message", "") == KaggleApi.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE
        return Trouble(0) if failed else answer


def _reason(trouble: Trouble) -> str:
    return "no answer" if trouble.status == 0 else "too many requests" if trouble.status == 429 else f"error {trouble.status} of its server"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds" if seconds else "some minutes"


def _places(source: str | None) -> str:
    known = {"KAGGLE_API_TOKEN": "in KAGGLE_API_TOKEN", "access_token": "in ~/.kaggle/access_token"}
    return known.get(source or "", "in KAGGLE_USERNAME and KAGGLE_KEY, or in kaggle.json")


_HOW = f"make one at {SITE}/settings/api, and put it into KAGGLE_API_TOKEN or ~/.kaggle/access_token (or give: kaggle auth login)"


def _no_token() -> KitError:
    return KitError(f"Kaggle is not told who you are: there is no token\n{_HOW}")


def _wrong_token(place: str) -> KitError:
    return KitError(f"Kaggle does not accept the token {place}: it is wrong, or has expired\n{_HOW}")
