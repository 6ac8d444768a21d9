"""A stand-in for the Hugging Face Hub: what huggingface_hub's own client asks for, answered from a folder.

    python tests/hub_server.py --port 8800 --root HUB
    export HF_ENDPOINT=http://127.0.0.1:8800 HF_TOKEN=hf_standin HF_HUB_DISABLE_XET=1

Models, data sets and Spaces are made, uploaded to and downloaded from; branches, tags and private repositories are
there; nothing is rendered. Files are uploaded by LFS's basic transfer, since Xet has a server of its own. For tests,
requests are noted and can be made to fail.
"""

import argparse
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_routes import ROUTES, Refused

TOKEN, USER = "hf_standin", "someone"
_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}
DROP = "drop"


@dataclass
class Fault:
    """Requests that go wrong.

    Attributes:
        method: `POST`, ...
        path: A regular expression that is searched for in the path.
        status: Answered in place of the real answer; `DROP` ends the connection without one.
        times: How many more requests go wrong.
        after: How many go well before.
    """

    method: str
    path: str
    status: int | str
    times: int = 1
    after: int = 0


class HubServer:
    """The server and what it holds.

    Args:
        root: Folder for repositories, kept for the next server.
        tokens: Access token -> name of the user.
        organizations: That every user may write to.
        port: 0 for a free one.

    Attributes:
        requests: (method, path) of each, in order.
        faults: What goes wrong.
        read_only: Whether the tokens may only read.
    """

    def __init__(
        self,
        root: Path,
        tokens: dict[str, str] | None = None,
        organizations: tuple[str, ...] = (),
        port: int = 0,
    ):
        self.root = root
        self.tokens = tokens or {TOKEN: USER}
        self.organizations = organizations
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.read_only = False
        self.lock = threading.RLock()
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        self._index = root / "repositories.json"
        self.repos: dict[str, dict[str, Any]] = json.loads(self._index.read_text()) if self._index.is_file() else {}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve until interrupted."""
        self._server.serve_forever()

    def fail(self, method: str, path: str, status: int | str, times: int = 1, after: int = 0) -> None:
        """Let requests go wrong; see `Fault`."""
        self.faults.append(Fault(method, path, status, times, after))

    def sent(self, method: str, path: str) -> list[str]:
        """Paths of the requests so far that match."""
        return [found for how, found in self.requests if how == method and re.search(path, found)]

    def files(self, repo_id: str, revision: str = "main", kind: str = "model") -> dict[str, bytes]:
        """Every file of a revision."""
        commit = self.commit_of(self.repos[f"{kind}/{repo_id}"], revision)[1]
        return {path: self.blob(entry["sha256"]).read_bytes() for path, entry in commit["files"].items()}

    # What requests do

    def blob(self, sha256: str) -> Path:
        """Where content is."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise Refused(422, "not a SHA-256")
        return self.root / "blobs" / sha256

    def store(self, content: bytes) -> dict[str, Any]:
        """Keep content; what a commit notes about it."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.blob(sha256).write_bytes(content)
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"sha256": sha256, "size": len(content), "oid": oid, "lfs": False}

    def save(self) -> None:
        """Keep the index for the next server."""
        self._index.write_text(json.dumps(self.repos))

    def create(self, kind: str, repo_id: str, private: bool) -> None:
        """A repository with its first commit, as the Hub makes it."""
        attributes = self.store(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
        repo = {"id": repo_id, "kind": kind, "private": private, "commits": {}, "branches": {}, "tags": {}}
        self.repos[f"{kind}/{repo_id}"] = repo
        self.commit(repo, "main", {".gitattributes": attributes}, "initial commit", None)

    def commit(self, repo: dict[str, Any], branch: str, files: dict[str, Any], title: str, parent: str | None) -> str:
        """Add a commit to a branch; its id."""
        content = json.dumps([files, title, parent, len(repo["commits"])], sort_keys=True)
        oid = hashlib.sha1(content.encode()).hexdigest()
        repo["commits"][oid] = {"files": files, "title": title, "parent": parent}
        repo["branches"][branch] = oid
        self.save()
        return oid

    def commit_of(self, repo: dict[str, Any], revision: str) -> tuple[str, dict[str, Any]]:
        """The commit that a branch, a tag or an id stands for."""
        oid = repo["branches"].get(revision) or repo["tags"].get(revision) or revision
        if oid not in repo["commits"]:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid, repo["commits"][oid]


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    # Otherwise each answer is two packets, and the second waits 40 ms for the first.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.body = self._read_body()
        with self.hub.lock:
            self.hub.requests.append((self.command, url.path))
            fault = self._fault(url.path)
        if fault == DROP:
            self.close_connection = True
            return
        try:
            if fault is not None:
                raise Refused(int(fault), f"the test wants status {fault}")
            self._answer(*self._find(url.path))
        except Refused as error:
            headers = {"X-Error-Message": str(error), **({"X-Error-Code": error.code} if error.code else {})}
            self.reply({"error": str(error)}, status=error.status, headers=headers)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fault(self, path: str) -> int | str | None:
        for fault in self.hub.faults:
            if fault.method == self.command and re.search(fault.path, path) and fault.times > 0:
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault.status
        return None

    def _find(self, path: str) -> tuple[Callable[..., Any], dict[str, str]]:
        method = "GET" if self.command == "HEAD" else self.command
        for known, pattern, function in ROUTES:
            if known == method and (match := pattern.fullmatch(path)):
                return function, {name: unquote(value) for name, value in match.groupdict().items() if value}
        raise Refused(404, f"the stand-in knows no {method} {path}")

    def _answer(self, function: Callable[..., Any], values: dict[str, str]) -> None:
        with self.hub.lock:
            if "repo_id" in values:
                values["repo"] = self._repository(_TYPES[values.pop("kinds", "models")], values.pop("repo_id"))
            answer = function(self, **values)
        if answer is not None:
            self.reply(answer)

    @property
    def user(self) -> str | None:
        """Who asks; a token that nobody has is refused."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given not in self.hub.tokens:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.tokens.get(given)

    def _repository(self, kind: str, repo_id: str) -> Any:
        repo, user = self.hub.repos.get(f"{kind}/{repo_id}"), self.user
        if repo is None or (repo["private"] and not self.may_write(repo_id, user)):
            # As the Hub, which does not say whether a private repository exists.
            raise Refused(404 if user else 401, "Repository not found", "RepoNotFound")
        if self.command not in ("GET", "HEAD") and not self.may_write(repo_id, user):
            raise Refused(403 if user else 401, f"You don't have the rights to write to {repo_id}")
        return repo

    def may_write(self, repo_id: str, user: str | None) -> bool:
        """Whether a user owns a repository."""
        return user is not None and repo_id.split("/")[0] in (user, *self.hub.organizations)

    def json(self) -> dict[str, Any]:
        """The body of the request."""
        return json.loads(self.body or b"{}")

    def reply(self, answer: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """JSON, or bytes as they are."""
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def main() -> None:
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8800)
    parser.add_argument("--root", type=Path, required=True, help="folder that keeps the repositories")
    parser.add_argument("--token", default=TOKEN, help="access token (default: %(default)s)")
    parser.add_argument("--user", default=USER, help="whose it is (default: %(default)s)")
    options = parser.parse_args()
    server = HubServer(options.root, {options.token: options.user}, port=options.port)
    print(  # noqa: T201
        f"export HF_ENDPOINT={server.url} HF_TOKEN={options.token} HF_HUB_DISABLE_XET=1   # user: {options.user}",
        flush=True,
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
