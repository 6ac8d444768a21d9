"""The page over HTTP while a run goes on: two addresses, for people on the same machine.

`/` is the page, `/data.json?since=VERSION` what has changed. Nothing else is answered, and no path of a request is
ever looked up in a file system.
"""

import json
import sys
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rich.console import Console

from electra_hf.errors import ElectraHfError, UsageError, without_secrets
from electra_hf.sharing.report.content import content_of, status_of
from electra_hf.sharing.report.page import render_page
from electra_hf.sharing.report.runs import Run, read_run, signature


class Watcher:
    """The content of the page of one run; its files are read again only when they have changed.

    Args:
        folder: Of the run; it may not exist yet.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._version: str | None = None
        self._run = Run(folder.name, folder)
        self._content: dict[str, Any] = {}

    def news(self, since: str = "") -> dict[str, Any]:
        """What a page needs that has seen the version `since`.

        Returns:
            `version` and `status`, and `content` if the version is another one.

        Raises:
            CheckpointError: If a file of the run is damaged.
        """
        with self._lock:
            version = signature([self.folder])
            if version != self._version:
                self._run = read_run(self.folder)
                self._content = content_of([self._run])
                self._version = version
            news: dict[str, Any] = {"version": version, "status": status_of(self._run.status())}
            # The times in the words are those of now.
            content = {**self._content, "status": news["status"]}
            return news if since == version else {**news, "content": content}


class PageHandler(BaseHTTPRequestHandler):
    """Answers for the page and its data, and for nothing else."""

    server_version, sys_version = "electra-hf", ""
    timeout = 30  # seconds, for a client that says nothing

    def __init__(self, *args: Any, watcher: Watcher, interval: float):
        self.watcher = watcher
        self.interval = interval
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer one request."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The same without the body."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        address = urlsplit(self.path)
        if address.path == "/":
            self._send("text/html", self._page(), with_body=with_body)
        elif address.path == "/data.json":
            since = parse_qs(address.query).get("since", [""])[0]
            self._send("application/json", self._data(since), with_body=with_body)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _page(self) -> str:
        try:
            content = self.watcher.news()["content"]
        except ElectraHfError:
            # An empty page, which asks for its data and is then told of the error.
            content = content_of([Run(self.watcher.folder.name, self.watcher.folder)])
        return render_page(content, live_seconds=self.interval)

    def _data(self, since: str) -> str:
        try:
            news = self.watcher.news(since)
        except ElectraHfError as error:
            news = {"error": without_secrets(str(error))}
        return json.dumps(news, ensure_ascii=False, allow_nan=False)

    def _send(self, kind: str, text: str, *, with_body: bool) -> None:
        # Names of files may hold what is no Unicode.
        body = text.encode("utf-8", errors="replace")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A line for each question of a page would push the address off the screen."""


class PageServer(ThreadingHTTPServer):
    """A server whose clients may leave at any time."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that was closed in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def make_server(folder: Path, *, host: str, port: int, interval: float) -> PageServer:
    """A server of the page of a run, bound but not yet serving.

    Args:
        folder: Of the run; it may not exist yet.
        host: Address to listen at.
        port: 0 takes a free one (`server_port`).
        interval: Seconds between two questions of the page.

    Raises:
        UsageError: If the address cannot be had.
    """
    handler: Callable[..., PageHandler] = partial(PageHandler, watcher=Watcher(folder), interval=interval)
    try:
        return PageServer((host, port), handler)  # type: ignore[arg-type]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--host {host} --port {port}: cannot listen there ({reason}). If another watch has the port, give "
            "another --port, or 0 for a free one"
        ) from error


def serve(folder: Path, *, host: str, port: int, interval: float) -> None:
    """Serve the page of a run until Ctrl-C.

    Raises:
        UsageError: If the address cannot be had.
    """
    server = make_server(folder, host=host, port=port, interval=interval)
    console = Console()
    shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1") else host
    lines = [f"Watching {folder} at http://{shown}:{server.server_port}/", "Ctrl-C ends this, and not the run."]
    if host == "127.0.0.1":
        lines.append(f"From elsewhere: ssh -L {server.server_port}:localhost:{server.server_port} THIS_MACHINE")
    if not folder.is_dir():
        lines.append("There is no such folder yet: the page waits for it.")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    with server:
        server.serve_forever()
