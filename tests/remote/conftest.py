"""A server in this process that speaks the part of Kaggle's API that the installed client uses, for that client to ask."""

import base64
import hashlib
import io
import json
import re
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from kagglesdk import kaggle_env

TOKEN = "KGAT_5ecre7-0f-n0b0dy"
SIGNED = "s1gned-4ddre55"  # stands in the addresses of files, and is as secret
API = "competitions.CompetitionApiService"


def now() -> datetime:
    """By the server's clock, in UTC without saying so, as Kaggle gives times."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)


class Server(ThreadingHTTPServer):
    """
    files     name -> bytes of the data files
    faults    (part of a path, status, headers, body): each answers one request whose path holds it; status 0 is no answer
    cuts      bytes of each coming download after which the line breaks; upload_cuts likewise
    asked     path, headers and body of each request
    most      submissions a day; `allowed`, if it is given, what is left of the whole competition's
    scores    what one look after another at the newest submission shows; the last one stays
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.api, self.storage = (f"http://{host}:{self.server_port}" for host in ("127.0.0.1", "localhost"))
        self.files: dict[str, bytes] = {"train.csv": b"id,y\n" + b"1,2\n" * 200, "test.csv": b"id\n7\n"}
        self.faults: list[tuple] = []
        self.cuts: list[int] = []
        self.upload_cuts: list[int] = []
        self.asked: list[tuple[str, dict, bytes]] = []
        self.token, self.rules, self.exists = TOKEN, True, True
        self.code_only, self.most, self.allowed = False, 5, None
        self.range_status, self.range_faults = 206, 0
        self.md5_of_nothing = self.packs = self.ranges_ignored = False
        self.submissions: list[dict] = []
        self.uploads: dict[str, bytes] = {}
        self.scores = [("PENDING", ""), ("COMPLETE", "0.77990")]

    def fault(self, part: str, status: int, message: str = "", times: int = 1, **headers: str) -> None:
        body = json.dumps({"code": status, "message": message}) if message else "<html>trouble</html>"
        self.faults += [(part, status, headers, body)] * times

    def requests(self, part: str) -> list[tuple[str, dict, bytes]]:
        return [one for one in self.asked if part in one[0]]

    def sent_before(self, description: str, ago: timedelta = timedelta(0), status: str = "COMPLETE", score: str = "0.5") -> None:
        ref = 1000 + len(self.submissions)
        self.submissions.append({"ref": ref, "date": f"{(now() - ago).isoformat()}.000Z", "description": description, "fileName": "submission.csv", "status": status, "publicScore": score})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, body: bytes | dict = b"", cut: int | None = None, **headers: str) -> None:
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if isinstance(body, dict) else headers.pop("type", "application/octet-stream"))
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data if cut is None else data[:cut])
        self.close_connection = True

    def troubled(self, body: bytes) -> bool:
        server = self.server
        server.asked.append((self.path, dict(self.headers), body))
        for fault in server.faults:
            if fault[0] in self.path:
                server.faults.remove(fault)
                if fault[1] == 0:
                    self.close_connection = True
                    return True
                kind = "application/json" if fault[3].startswith("{") else "text/html"
                self.reply(fault[1], fault[3].encode(), type=kind, **fault[2])
                return True
        return False

    def do_POST(self) -> None:
        body = self._body()
        if self.troubled(body):
            return
        server, asked = self.server, json.loads(body or b"{}")
        name = self.path.rsplit("/", 1)[-1]
        if name == "IntrospectToken":
            good = asked.get("token") == server.token
            return self.reply(200, {"active": True, "username": "someone"}) if good else self.reply(400, {"code": 400, "message": f"token {asked.get('token')} is not known"})
        basic = "Basic " + base64.b64encode(f"someone:{server.token}".encode()).decode()
        if self.headers.get("Authorization") not in (f"Bearer {server.token}", basic):
            return self.reply(401, {"code": 401, "message": f"Unauthenticated: {self.headers.get('Authorization')}"})
        if not server.exists:
            return self.reply(404, {"code": 404, "message": "Competition not found"})
        if not server.rules and "Data" in name:
            return self.reply(403, {"code": 403, "message": "You must accept this competition's rules before you'll be able to download files."})
        return getattr(self, f"on_{name}")(asked)

    def on_GetCompetition(self, asked: dict) -> None:
        server = self.server
        told = {"ref": asked["competitionName"], "maxDailySubmissions": server.most, "isKernelsSubmissionsOnly": server.code_only, "userHasEntered": server.rules}
        self.reply(200, told)

    def on_ListDataFiles(self, asked: dict) -> None:
        names, start = list(self.server.files), int(asked.get("pageToken") or 0)
        step = min(asked.get("pageSize", 20), 3)
        told = {"files": [{"name": n, "totalBytes": len(self.server.files[n])} for n in names[start : start + step]]}
        self.reply(200, told | ({"nextPageToken": str(start + step)} if start + step < len(names) else {}))

    def on_DownloadDataFile(self, asked: dict) -> None:
        name = asked["fileName"]
        if name not in self.server.files:
            return self.reply(404, {"code": 404, "message": "File not found"})
        self.reply(302, Location=f"{self.server.storage}/storage/{quote(name)}{'.zip' * self.server.packs}?Signature={SIGNED}")

    def on_DownloadDataFiles(self, asked: dict) -> None:
        self.reply(302, Location=f"{self.server.storage}/storage/{asked['competitionName']}.all.zip?Signature={SIGNED}")

    def on_GetSubmissionLimits(self, asked: dict) -> None:
        server = self.server
        today = len([s for s in server.submissions if s["date"][:10] == now().date().isoformat()])
        left = max(server.most - today, 0) if server.allowed is None else server.allowed
        self.reply(200, {"numToday": today, "numTotal": len(server.submissions), "numAllowedNow": left if server.submissions else 0, "limitedByTotal": server.allowed is not None})

    def on_ListSubmissions(self, asked: dict) -> None:
        server = self.server
        if server.submissions and server.submissions[-1].get("scored") is False:
            last = server.submissions[-1]
            last["status"], last["publicScore"] = server.scores.pop(0) if len(server.scores) > 1 else server.scores[0]
            last["scored"] = last["status"] != "PENDING"
            last["errorDescription"] = "the id column is strange" if last["status"] == "ERROR" else ""
        self.reply(200, {"submissions": [{k: v for k, v in s.items() if k != "scored"} for s in reversed(server.submissions)], "nextPageToken": ""})

    def on_StartSubmissionUpload(self, asked: dict) -> None:
        token = f"blob{len(self.server.uploads)}"
        self.server.uploads[token] = b""
        self.reply(200, {"token": token, "createUrl": f"{self.server.storage}/upload/{token}?Signature={SIGNED}"})

    def on_CreateSubmission(self, asked: dict) -> None:
        server = self.server
        assert server.uploads[asked["blobFileTokens"]], "an empty file was submitted"
        server.sent_before(asked.get("submissionDescription", ""))
        server.submissions[-1] |= {"scored": False, "publicScore": "", "status": "PENDING"}
        server.uploads["last"] = server.uploads[asked["blobFileTokens"]]
        if self.server.faults and self.server.faults[0][0] == "after CreateSubmission":  # counted, and the answer is lost
            server.faults.pop(0)
            self.close_connection = True
            return
        self.reply(200, {"message": "Successfully submitted", "ref": server.submissions[-1]["ref"]})

    def do_GET(self) -> None:
        if self.troubled(b""):
            return
        server, parts = self.server, urlsplit(self.path)
        assert parse_qs(parts.query)["Signature"] == [SIGNED]
        name = unquote(parts.path.removeprefix("/storage/"))
        data = packed(server.files) if name.endswith(".all.zip") else server.files.get(name) or packed({Path(name[:-4]).name: server.files[name[:-4]]})
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept_Ranges": "bytes"}
        md5 = hashlib.md5(b"" if server.md5_of_nothing else data).digest()
        headers["x_goog_hash"] = f"crc32c=AAAAAA==, md5={base64.b64encode(md5).decode()}"
        cut, status = server.cuts.pop(0) if server.cuts else None, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and server.range_faults:
            server.range_faults -= 1
            return self.reply(503)
        if wanted and server.range_status == 416:
            return self.reply(416)
        if wanted and self.headers.get("If-Range") == headers["ETag"] and not server.ranges_ignored:
            start, status = int(wanted[1]), 206
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data = data[start:]
        self.reply(status, data, cut, **headers)

    def do_PUT(self) -> None:
        server = self.server
        if server.upload_cuts:
            server.asked.append((self.path, dict(self.headers), b""))
            self.rfile.read(server.upload_cuts.pop(0))
            self.close_connection = True
            return
        body = self._body()
        if self.troubled(body):
            return
        server.uploads[urlsplit(self.path).path.rsplit("/", 1)[-1]] = body
        self.reply(200)


def packed(files: dict[str, bytes]) -> bytes:
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return room.getvalue()


@pytest.fixture
def zipped():
    """Name -> bytes, as the bytes of a zip."""
    return packed


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Kaggle, for this test alone: the client's address leads here, and its home is empty but for a token in the environment."""
    at_home = tmp_path / "home"
    at_home.mkdir()
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_ENVIRONMENT", "KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(at_home))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(at_home))
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    server = Server()
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.api)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        from kit.kaggle import KaggleApi  # after all that: it signs in

        monkeypatch.setattr(KaggleApi, "config", str(at_home / "kaggle.json"))
        server.asked.clear()
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def kit(kit):
    """Runs `kit …` in this process; gives its exit code, and the lines on both streams, in which no secret may stand."""

    def run(*words) -> tuple[int, list[str], list[str]]:
        done = kit(*words)
        assert not [secret for secret in (TOKEN, SIGNED) if secret in "\n".join(done.out + done.err)]
        return done.code, done.out, done.err

    return run


@pytest.fixture
def no_secrets(tmp_path):
    """After the test: no credential, and no signed address, in any file below it."""
    yield
    for path in tmp_path.rglob("*"):
        if path.is_file() and "home" not in path.relative_to(tmp_path).parts:
            data = path.read_bytes()
            assert TOKEN.encode() not in data and SIGNED.encode() not in data, path
