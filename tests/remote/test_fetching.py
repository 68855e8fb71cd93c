"""`kit data` through the real client: what comes, what is gone on with, what is refused, and what each trouble says to do."""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from kit import fetching, transfer, unpacking
from kit.errors import KitError
from kit.files import read_json

pytestmark = pytest.mark.usefixtures("no_secrets")


@pytest.fixture
def toy(table) -> Path:
    """competitions/toy without data; it is "toy-slug" on Kaggle."""
    table.config('kaggle = "toy-slug"\n' + (table.folder / "config.toml").read_text())
    for file in table.data.iterdir():
        file.unlink()
    table.data.rmdir()
    return table.folder


class Asked:
    """fetch() into ./data, with the pauses that it made and the lines that it told."""

    def __init__(self):
        self.pauses, self.lines = [], []

    def __call__(self, **limits) -> Path:
        fetching.fetch("toy-slug", Path("data"), Path("coming"), self.lines.append, pause=self.pauses.append, **limits)
        assert not Path("coming").exists()
        return Path("data")

    def complaint(self, **limits) -> str:
        with pytest.raises(KitError) as error:
            self(**limits)
        told = "".join(traceback.format_exception(error.value))
        for link in (error.value, error.value.__context__, error.value.__cause__):
            told += repr(link)
        assert "5ecre7" not in told and "s1gned" not in told
        return str(error.value)


@pytest.fixture
def fetch(tmp_path, monkeypatch, server) -> Asked:
    monkeypatch.chdir(tmp_path)
    return Asked()


def held(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != fetching.RECORD}


# what comes


def test_the_files_arrive_and_the_last_line_is_their_folder(toy, server, kit):
    code, out, err = kit("data", "toy")
    assert (code, out) == (0, ["competitions/toy/data"])
    assert held(toy / "data") == server.files
    assert [line.split()[:2] for line in err] == [["fetch", "train.csv,"], ["fetch", "test.csv,"]]
    assert not (toy / "cache" / "fetching").exists()


def test_a_second_call_checks_and_fetches_nothing(fetch, server):
    fetch()
    count = len(server.requests("/storage/"))
    fetch()
    assert len(server.requests("/storage/")) == count
    assert fetch.lines[-2:] == ["there   test.csv", "there   train.csv"]


def test_the_record_has_the_hash_of_each_file(fetch):
    record = read_json(fetch() / fetching.RECORD)
    assert record["competition"] == "toy-slug"
    assert record["files"]["test.csv"] == {"bytes": 5, "sha256": "914419b85387e5174dd3fe260c2f68d2426d16f677a6ac13080e07d8f9679058", "of": "test.csv"}


def test_only_what_is_missing_is_fetched(fetch, server):
    folder = fetch()
    (folder / "test.csv").unlink()
    server.asked.clear()
    fetch()
    assert [path for path, _, _ in server.requests("/storage/")] == [f"/storage/test.csv?Signature={'s1gned-4ddre55'}"]
    assert held(folder) == server.files


def test_many_files_come_in_one_zip(fetch, server):
    server.files |= {f"train/{n:03d}.txt": b"%d" % n for n in range(fetching.MANY)}
    assert held(fetch()) == server.files
    assert len(server.requests("/storage/")) == 1
    fetch()
    assert len(server.requests("/storage/")) == 1 and fetch.lines[-1] == "there   all files in one"


def test_a_file_that_kaggle_packs_on_its_way_is_unpacked(fetch, server):
    server.packs = True
    assert held(fetch()) == server.files


def test_an_archive_becomes_its_files_and_one_within_stays(fetch, server, zipped):
    inner = zipped({"x": b"1"})
    server.files = {
        "train.zip": zipped({"train/1.txt": b"1"}),
        "test.zip": zipped({"1.txt": b"2", "2.txt": b"3"}),
        "more.zip": zipped({"inner.zip": inner}),
        "old.csv.7z": b"7z\xbc\xaf'\x1c",
    }
    assert held(fetch()) == {"train/1.txt": b"1", "test/1.txt": b"2", "test/2.txt": b"3", "inner.zip": inner, "old.csv.7z": b"7z\xbc\xaf'\x1c"}
    assert "note    old.csv.7z is not unpacked here: unpack it by hand, beside itself" in fetch.lines
    server.asked.clear()
    fetch()
    assert not server.requests("/storage/")


def test_two_archives_with_the_same_names_stay_apart(fetch, server, zipped):
    server.files = {"a.zip": zipped({"images/1.txt": b"1"}), "b.zip": zipped({"images/1.txt": b"2"})}
    assert held(fetch()) == {"images/1.txt": b"1", "b/images/1.txt": b"2"}


def test_a_competition_that_kit_does_not_know_comes_into_a_folder_of_its_own(toy, server, kit):
    code, _, err = kit("data", "another-one")
    assert code == 1 and "kit new another-one" in "\n".join(err)
    code, out, _ = kit("data", "another-one", "--into", "files")
    assert (code, out) == (0, ["files"]) and held(Path("files")) == server.files


# a line that breaks


def test_an_interrupted_download_goes_on_where_it_stopped(fetch, server):
    server.files["train.csv"] = os.urandom(100_000)
    server.cuts = [40_000]
    assert held(fetch()) == server.files
    ranges = [headers["Range"] for path, headers, _ in server.requests("/storage/train.csv") if "Range" in headers]
    assert ranges == ["bytes=32768-"] and len(fetch.pauses) == 1
    assert "note    Kaggle: no answer; trying again in 1 s" in fetch.lines


def test_a_later_call_goes_on_with_what_an_interrupted_one_left(fetch, server, monkeypatch):
    server.files["train.csv"] = os.urandom(100_000)
    server.cuts = [40_000]

    def stopped(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch("toy-slug", Path("data"), Path("coming"), print, pause=stopped)
    assert not Path("data").exists()
    assert held(fetch()) == server.files
    assert any(headers.get("Range") == "bytes=32768-" for _, headers, _ in server.requests("/storage/train.csv"))


def test_a_part_of_another_file_is_not_gone_on_with(fetch, server):
    server.files["train.csv"] = os.urandom(100_000)
    server.cuts = [40_000]
    with pytest.raises(KeyboardInterrupt):
        fetching.fetch("toy-slug", Path("data"), Path("coming"), print, pause=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    server.files["train.csv"] = os.urandom(100_000)  # the host has mended it meanwhile
    assert held(fetch()) == server.files


def test_a_server_that_sends_all_when_asked_for_the_rest_is_taken_at_its_word(fetch, server):
    server.files["train.csv"], server.cuts, server.ranges_ignored = os.urandom(100_000), [40_000], True
    assert held(fetch()) == server.files


def test_a_server_that_has_no_such_part_is_asked_for_all(fetch, server):
    server.files["train.csv"], server.cuts = os.urandom(100_000), [40_000]
    server.range_status = 416
    assert held(fetch()) == server.files


def test_trouble_while_going_on_loses_nothing(fetch, server):
    server.files["train.csv"], server.cuts, server.range_faults = os.urandom(100_000), [40_000], 2
    assert held(fetch()) == server.files
    assert [headers["Range"] for _, headers, _ in server.requests("/storage/train.csv") if "Range" in headers] == ["bytes=32768-"] * 3


def test_a_line_that_breaks_each_time_ends_in_a_message_and_keeps_what_came(fetch, server):
    server.files["train.csv"] = os.urandom(200_000)
    server.cuts = [20_000] * 11  # each new try asks twice: for the file, and for its rest
    assert fetch.complaint() == "Kaggle: no answer, 6 times\nis the network there? the same command goes on where it stopped"
    assert fetch.pauses == [1.0, 2.0, 4.0, 8.0, 16.0] and not Path("data").exists()
    assert Path("coming/parts/train.csv").stat().st_size == 6 * 16_384
    assert held(fetch()) == server.files


def test_a_file_that_is_not_what_the_server_says_comes_again_and_then_not_at_all(fetch, server):
    server.md5_of_nothing = True
    told = fetch.complaint()
    assert told == "train.csv came twice, and its hash is not the one that was said\nthe same command tries again"
    assert not Path("data").exists() and not Path("coming/parts/train.csv").exists()


def test_two_calls_do_not_write_into_one_another(fetch, monkeypatch):
    bring = fetching._bring

    def bringing(*given):
        assert Asked().complaint() == "another kit data is at work in coming\nlet it end"
        bring(*given)

    monkeypatch.setattr(fetching, "_bring", bringing)
    fetch()


# trouble that passes, and trouble that does not


def test_errors_of_the_server_are_waited_out(fetch, server):
    server.fault("ListDataFiles", 503)
    server.fault("DownloadDataFile", 500)
    server.fault("/storage/", 502)
    server.fault("IntrospectToken", 0)
    assert held(fetch()) == server.files
    assert len(fetch.pauses) == 4


def test_a_server_that_stays_ill_is_told(fetch, server):
    server.fault("ListDataFiles", 503, times=9)
    assert fetch.complaint() == "Kaggle: error 503 of its server, 6 times\nis the network there? the same command goes on where it stopped"
    assert fetch.pauses == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_a_rate_limit_is_kept_or_told_if_it_is_long(fetch, server):
    server.fault("ListDataFiles", 429, "slow down", Retry_After="7")
    fetch()
    assert fetch.pauses == [7.0]
    server.fault("ListDataFiles", 429, "slow down", Retry_After="1800")
    assert fetch.complaint().startswith("Kaggle asks for patience: too many requests: slow down\nwait 30 minutes")


def test_no_token(fetch, server, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    first, how = fetch.complaint().split("\n")
    assert first == "Kaggle is not told who you are: there is no token"
    assert how.startswith("make one at https://www.kaggle.com/settings/api") and "KAGGLE_API_TOKEN" in how and "kaggle auth login" in how


def test_a_wrong_token(fetch, server, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_5ecre7-0f-y35t3rd4y")
    assert fetch.complaint().startswith("Kaggle does not accept the token in KAGGLE_API_TOKEN: it is wrong, or has expired\nmake one at https://www.kaggle.com/settings/api")


def test_a_wrong_token_in_the_file_that_the_client_keeps(fetch, server, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (Path.home() / ".kaggle").mkdir()
    (Path.home() / ".kaggle/access_token").write_text("KGAT_5ecre7-0f-y35t3rd4y")
    assert fetch.complaint().startswith("Kaggle does not accept the token in ~/.kaggle/access_token")


def test_a_key_of_the_older_kind(fetch, server, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", server.token)
    assert held(fetch()) == server.files
    monkeypatch.setenv("KAGGLE_KEY", "5ecre7-0f-y35t3rd4y")
    assert fetch.complaint().startswith("Kaggle does not accept the token in KAGGLE_USERNAME and KAGGLE_KEY, or in kaggle.json")


def test_rules_that_are_not_accepted(toy, server, kit):
    server.rules = False
    code, out, err = kit("data", "toy")
    assert (code, out) == (1, []) and not (toy / "data").exists()
    assert err[0] == "kit: Kaggle does not let you into toy-slug: You must accept this competition's rules before you'll be able to download files."
    assert err[1].startswith("     accept its rules, once, at https://www.kaggle.com/competitions/toy-slug/rules")


def test_no_such_competition(fetch, server):
    server.exists = False
    assert fetch.complaint().startswith('no competition "toy-slug" on Kaggle') and "mend `kaggle` in config.toml" in fetch.complaint()


def test_a_page_in_place_of_an_answer(fetch, server):
    server.fault("ListDataFiles", 200)
    assert fetch.complaint().startswith("what came from Kaggle is no answer of its API\nis a proxy or a login page in between?")


def test_no_data(fetch, server):
    server.files = {}
    assert fetch.complaint().startswith("toy-slug has no data files on Kaggle")


def test_a_config_that_names_no_competition_of_kaggle(table, kit):
    code, _, err = kit("data", "toy")
    assert code == 1 and err[0] == "kit: toy names no competition of Kaggle" and "competitions/toy/config.toml" in err[1]


def test_without_the_client_the_extra_is_named(tmp_path):
    code = "import sys; sys.modules['kaggle'] = None; from kit.fetching import fetch; from pathlib import Path; fetch('x', Path('a'), Path('b'), print)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert 'pip install "competition-kit[kaggle]"' in done.stderr.splitlines()[-1]


def test_no_command_but_its_own_imports_the_client():
    code = "import sys; from kit import cli, fetching, submitting; print('kaggle' in sys.modules or 'requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# what lies there already, and what must not get in


def test_nothing_is_written_over(fetch, server):
    Path("data").mkdir()
    Path("data/train.csv").write_text("mine")
    Path("data/test.csv").write_bytes(server.files["test.csv"])
    assert fetch.complaint() == f"data/train.csv was put there by hand, with 4 bytes where Kaggle has {len(server.files['train.csv'])}\nnothing is written over: move them away, and give the same command again"
    Path("data/train.csv").unlink()
    assert held(fetch()) == server.files and "note    data/test.csv was put there by hand, and stays" in fetch.lines


def test_a_file_that_was_changed_since_is_told(fetch):
    (fetch() / "test.csv").write_bytes(b"id\n8\n")
    assert fetch.complaint().startswith("data/test.csv is not what was fetched: it was changed, or its disk is not well\nnothing is written over")


def test_files_of_one_zip_are_not_written_over(fetch, server):
    server.files |= {f"train/{n:03d}.txt": b"%d" % n for n in range(fetching.MANY)}
    Path("data/train").mkdir(parents=True)
    Path("data/train/000.txt").write_text("mine")
    assert fetch.complaint().startswith("data/train/000.txt was put there by hand, and differs from what Kaggle has\n")
    assert held(Path("data")) == {"train/000.txt": b"mine"}
    Path("data/train/000.txt").unlink()
    assert held(fetch()) == server.files and len(server.requests("/storage/")) == 1


def test_the_disk_is_looked_at_first(fetch, server, monkeypatch):
    monkeypatch.setattr(fetching, "SPARE", 1 << 62)
    assert fetch.complaint().startswith("the files still need 810 bytes, and the disk of data has 0 bytes to spare\n")
    assert not server.requests("/storage/")


@pytest.mark.parametrize("name", ["../out.csv", "/tmp/out.csv", "a/../../out.csv"])
def test_a_name_that_leads_out_is_refused_before_anything_comes(fetch, server, name):
    server.files = {name: b"x"}
    assert "is no name for a file" in fetch.complaint()
    assert not server.requests("/storage/") and not Path("data").exists() and not Path("../out.csv").exists()


def test_a_hostile_archive_leaves_the_folder_as_it_was(fetch, server, zipped):
    server.files = {"a.csv": b"id\n", "train.zip": zipped({"../../out.txt": b"x"})}
    told = fetch.complaint()
    assert told.startswith("coming/parts/train.zip is not unpacked: '../../out.txt' leads out of the folder\n")
    assert not Path("data").exists() and not list(Path().rglob("out.txt"))
    fetch.complaint()
    assert len(server.requests("/storage/train.zip")) == 2 and not any("Range" in h for _, h, _ in server.requests("/storage/"))


def test_a_large_archive_needs_a_word(fetch, server, zipped):
    server.files = {"train.zip": zipped({f"train/{n}": b"" for n in range(20)})}
    assert "it has 20 members or more\nnothing was written; if so many are right, say so: --members 200" in fetch.complaint(members=20)
    assert len(held(fetch(members=200))) == 20


def test_the_token_goes_to_kaggle_alone(fetch, server):
    fetch()
    assert all("Authorization" not in headers for _, headers, _ in server.requests("/storage/"))
    assert all(headers["Authorization"] == f"Bearer {server.token}" for _, headers, _ in server.requests("DataFile"))


def test_a_user_who_wants_to_hear_all_does_not_hear_the_token(tmp_path, server):
    code = (
        "import sys; from pathlib import Path; from kagglesdk import kaggle_env as env; env._env_to_endpoint[env.KaggleEnv.PROD] = sys.argv[1]\n"
        "from kit.fetching import fetch; fetch('toy-slug', Path('data'), Path('coming'), print)"
    )
    done = subprocess.run([sys.executable, "-c", code, server.api], capture_output=True, text=True, check=True, cwd=tmp_path, env={**os.environ, "VERBOSE": "1"})
    assert held(tmp_path / "data") == server.files
    assert server.token not in done.stdout + done.stderr


def test_progress_is_told_of_what_takes_long(fetch, server, monkeypatch):
    monkeypatch.setattr(transfer, "_SAYS", 0.0)
    monkeypatch.setattr(transfer, "_PIECE", 500)
    fetch()
    assert "        train.csv: 500 bytes of 805 bytes" in fetch.lines


def test_sizes_are_for_people():
    assert [unpacking.size(n) for n in (805, 12_300, 4_560_000, 10**10, 3 * 10**12)] == ["805 bytes", "12.3 kB", "4.56 MB", "10 GB", "3 TB"]
