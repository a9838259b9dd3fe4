import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flaxtext.core.errors import UserError
from flaxtext.download import fetch as module
from flaxtext.download.fetch import fetch

CONTENT = bytes(range(256)) * 400
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
OTHER = "0" * 32


class Handler(BaseHTTPRequestHandler):
    """/ok sends CONTENT; /third fails twice before it does; /short closes early; /missing is a 404."""

    seen: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.seen.append(self.path)
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/third" and len(self.seen) < 3:
            return self.send_error(503)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/short" else CONTENT)
        return None

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def _no_pause_and_no_proxy(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def message(location: str, **options) -> str:
    with pytest.raises(UserError) as caught, fetch(location, "ADVICE", **options):
        pass
    return str(caught.value)


def test_local_file_is_used_in_place(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CONTENT)
    for location in (str(path), f"file://{path}"):
        with fetch(location, "", MD5) as file:
            assert file.path == path
            assert file.md5 == MD5
    assert path.exists()


def test_remote_file_is_whole_and_removed_afterwards(server):
    with fetch(f"{server}/ok", "", MD5) as file:
        assert file.path.read_bytes() == CONTENT
    assert not file.path.exists()


def test_any_fsspec_url():
    import fsspec

    fsspec.filesystem("memory").pipe("/folder/a.csv", CONTENT)
    with fetch("memory://folder/a.csv", "", MD5) as file:
        assert file.path.read_bytes() == CONTENT


def test_server_that_fails_twice_is_asked_a_third_time(server):
    with fetch(f"{server}/third", "") as file:
        assert file.md5 == MD5
    assert Handler.seen == ["/third"] * 3


def test_server_that_closes_early(server):
    assert message(f"{server}/short") == (
        f"cannot read {server}/short: truncated: 1,000 of 102,400 bytes came, after 3 tries; ADVICE"
    )
    assert Handler.seen == ["/short"] * 3


def test_missing_on_the_server_is_asked_once(server):
    assert message(f"{server}/missing") == f"cannot read {server}/missing: not found; ADVICE"
    assert Handler.seen == ["/missing"]


def test_refused():
    with socket.socket() as closed:  # bound and not listening: nobody else can take the port
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/train.csv"
        assert message(url) == f"cannot read {url}: connection refused, after 3 tries; ADVICE"


def test_silent_server(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    monkeypatch.setattr(module, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/train.csv"
        assert message(url) == f"cannot read {url}: no answer within 0.1 s; ADVICE"


def test_unknown_protocol():
    assert message("nope://a/b.csv") == "cannot read nope://a/b.csv: Protocol not known: nope; ADVICE"


def test_no_such_file(tmp_path):
    assert message(f"{tmp_path}/a.csv") == f"{tmp_path}/a.csv: no such file; ADVICE"
    for name in ("a\0b", "a" * 300):
        assert message(name).startswith(f"cannot read {name}: ")


def test_what_is_no_file_is_not_read(tmp_path):
    """Some of it has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    kinds = {
        str(tmp_path): "a folder",
        "/dev/zero": "a device",
        f"{tmp_path}/pipe": "a pipe",
        f"{tmp_path}/link": "a device",
    }
    for location, kind in kinds.items():
        for url in (location, f"file://{location}", f"local://{location}"):
            assert message(url) == f"{url}: {kind}, not a file; ADVICE"
    (tmp_path / "a.csv").write_bytes(CONTENT)
    (tmp_path / "to a file").symlink_to(tmp_path / "a.csv")
    with fetch(f"{tmp_path}/to a file", "") as file:
        assert file.md5 == MD5


def test_wrong_md5(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_bytes(CONTENT)
    found = f"MD5 is {MD5}, expected {OTHER}"
    assert message(str(path), md5=OTHER) == (
        f"{path}: {found}: not the published file, or cut short; "
        "get it again, or set data.verify: false to use it all the same"
    )
    assert capsys.readouterr().err == ""
    with fetch(str(path), "", OTHER, verify=False) as file:
        assert file.md5 == MD5
    assert capsys.readouterr().err == f"warning: {path}: NOT verified (data.verify: false): {found}\n"
