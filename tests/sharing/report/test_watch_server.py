"""The server of the live page: two addresses, and no way to anything else."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from electra_hf.errors import UsageError
from electra_hf.sharing.report.server import PageServer, Watcher, make_server


@pytest.fixture
def server(make_run) -> Iterator[PageServer]:
    server = make_server(make_run(), host="127.0.0.1", port=0, interval=1.0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server: PageServer, path: str, method: str = "GET") -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path)  # the path goes out as it is, dots and all
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_and_its_data_are_served(server: PageServer):
    status, headers, body = ask(server, "/")
    assert status == 200 and b'data-live="1"' in body and b"connect-src &#x27;self&#x27;" not in body
    assert b"connect-src 'self'" in body
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    _, headers, body = ask(server, "/data.json")
    news = json.loads(body)
    assert headers["Content-Type"].startswith("application/json")
    assert news["status"]["state"] == "running" and news["content"]["runs"][0]["lines"]["loss"]["x"][-1] == 60
    status, headers, body = ask(server, "/data.json", "HEAD")
    assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    "path",
    [
        "/training_log.jsonl",
        "/../training_log.jsonl",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/run_info.json",
        "/index.html",
        "/data.json/",
        "/data.json/../run_info.json",
        "/.",
        "\\",
    ],
)
def test_nothing_else_is_served(path: str, server: PageServer):
    status, _, body = ask(server, path)
    assert status == 404
    assert b"root:" not in body and b"max_steps" not in body and b"href" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(method: str, server: PageServer):
    assert ask(server, "/", method)[0] == 501


def test_a_used_port_is_refused_in_words(server: PageServer, tmp_path: Path):
    with pytest.raises(UsageError, match=rf"--port {server.server_port}: cannot listen there .*--port"):
        make_server(tmp_path, host="127.0.0.1", port=server.server_port, interval=1.0)
    with pytest.raises(UsageError, match="--host no.such.host.invalid"):
        make_server(tmp_path, host="no.such.host.invalid", port=0, interval=1.0)


def test_news_are_only_sent_when_there_are_some(make_run):
    folder = make_run()
    watcher = Watcher(folder)
    first = watcher.news()
    assert "content" in first
    assert watcher.news(first["version"]).keys() == {"version", "status"}
    with (folder / "training_log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 65, "loss": 3.5}\n')
    second = watcher.news(first["version"])
    assert second["content"]["runs"][0]["lines"]["loss"]["y"][-1] == 3.5


def test_a_run_that_has_not_begun_is_waited_for(tmp_path: Path, make_run):
    watcher = Watcher(tmp_path / "run")
    assert watcher.news()["status"]["state"] == "waiting"
    make_run("run")
    assert watcher.news()["status"]["state"] == "running"


def test_damage_is_told_and_does_not_end_the_server(server: PageServer, tmp_path: Path):
    log = tmp_path / "run" / "training_log.jsonl"
    whole = log.read_text(encoding="utf-8")
    log.write_text("damage\n" + whole, encoding="utf-8")
    assert "training_log.jsonl:1: not JSON" in json.loads(ask(server, "/data.json")[2])["error"]
    assert ask(server, "/")[0] == 200
    log.write_text(whole, encoding="utf-8")
    assert "content" in json.loads(ask(server, "/data.json")[2])
