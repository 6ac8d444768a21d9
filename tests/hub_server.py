"""A stand-in for the Hugging Face Hub: what huggingface_hub's own client asks for, answered from a folder.

    python tests/hub_server.py --port 8800 --root HUB
    export HF_ENDPOINT=http://127.0.0.1:8800 HF_TOKEN=hf_standin HF_HUB_DISABLE_XET=1

Models, data sets and Spaces are made, uploaded to and downloaded from; branches, tags and private repositories are
there; nothing is rendered. Files are uploaded by LFS's basic transfer, since Xet has a server of its own. For tests,
requests are noted and can be made to fail.
"""

import argparse
import base64
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

import yaml

TOKEN, USER = "hf_standin", "someone"
_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}
_TEXT_LIMIT = 100_000  # bytes of a text that is no large file
_DATE = "2024-01-01T00:00:00.000Z"
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


class Refused(Exception):
    """An answer that is no success; `code` is what the client looks at."""

    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


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


Route = tuple[str, re.Pattern[str], Callable[..., Any]]
_ROUTES: list[Route] = []
_API = r"/api/(?P<kinds>models|datasets|spaces)/(?P<repo_id>[^/]+/[^/]+)"
_GIT = r"/(?:(?P<kinds>datasets|spaces)/)?(?P<repo_id>[^/]+/[^/]+)"


def route(method: str, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What answers a request."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _ROUTES.append((method, re.compile(path), function))
        return function

    return register


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
        for known, pattern, function in _ROUTES:
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


# Repositories


@route("GET", "/api/whoami-v2")
def who_am_i(handler: _Handler) -> Any:
    if handler.user is None:
        raise Refused(401, "Invalid username or password.")
    organizations = [{"name": name, "type": "org"} for name in handler.hub.organizations]
    token = {"accessToken": {"displayName": "stand-in", "role": "read" if handler.hub.read_only else "write"}}
    return {"type": "user", "name": handler.user, "orgs": organizations, "auth": {"type": "access_token", **token}}


@route("POST", "/api/repos/create")
def create_repo(handler: _Handler) -> Any:
    asked, user = handler.json(), handler.user
    repo_id = f"{asked.get('organization') or user}/{asked['name']}"
    kind = asked.get("type") or "model"
    if not handler.may_write(repo_id, user):
        raise Refused(403 if user else 401, f"You don't have the rights to create a {kind} under this namespace")
    prefix = "" if kind == "model" else f"{kind}s/"
    answer = {"url": f"{handler.hub.url}/{prefix}{repo_id}", "name": repo_id, "id": repo_id}
    if f"{kind}/{repo_id}" in handler.hub.repos:
        handler.reply({"error": "You already created this repo", **answer}, status=409)
        return None
    handler.hub.create(kind, repo_id, asked.get("visibility") == "private" or bool(asked.get("private")))
    return answer


@route("GET", rf"{_API}(?:/revision/(?P<revision>[^/]+))?")
def repo_info(handler: _Handler, repo: Any, revision: str = "main") -> Any:
    oid, commit = handler.hub.commit_of(repo, revision)
    card = commit["files"].get("README.md")
    data = _metadata(handler.hub.blob(card["sha256"]).read_text(encoding="utf-8")) if card else {}
    return {
        "_id": "0", "id": repo["id"], "modelId": repo["id"], "author": repo["id"].split("/")[0], "sha": oid,
        "private": repo["private"], "gated": False, "disabled": False, "downloads": 0, "likes": 0,
        "lastModified": _DATE, "createdAt": _DATE, "tags": data.get("tags") or [], "cardData": data,
        "siblings": [{"rfilename": path} for path in sorted(commit["files"])],
    }  # fmt: skip


@route("GET", rf"{_API}/refs")
def refs(handler: _Handler, repo: Any) -> Any:
    def listed(kind: str, where: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{where}/{name}", "targetCommit": oid} for name, oid in repo[kind].items()]

    return {"branches": listed("branches", "heads"), "tags": listed("tags", "tags"), "converts": []}


@route("GET", rf"{_API}/commits/(?P<revision>[^/]+)")
def commits(handler: _Handler, repo: Any, revision: str) -> Any:
    found, (oid, commit) = [], handler.hub.commit_of(repo, revision)
    while commit:
        found.append({"id": oid, "title": commit["title"], "message": "", "date": _DATE, "authors": []})
        oid, commit = commit["parent"], repo["commits"].get(commit["parent"])
    return found


@route("POST", rf"{_API}/(?P<what>branch|tag)/(?P<name>[^/]+)")
def create_reference(handler: _Handler, repo: Any, what: str, name: str) -> Any:
    asked = handler.json()
    references, new, start = repo["branches"], name, asked.get("startingPoint", "main")
    if what == "tag":  # the path names the revision, the body the tag
        references, new, start = repo["tags"], asked["tag"], name
    if new in references:
        raise Refused(409, f"Reference already exists: {new}")
    references[new] = handler.hub.commit_of(repo, start)[0]
    handler.hub.save()
    return {}


# Upload


def _metadata(card: str) -> dict[str, Any]:
    match = re.match(r"---\r?\n(.*?)\r?\n---", card, re.DOTALL)
    return (yaml.safe_load(match[1]) or {}) if match else {}


@route("POST", "/api/validate-yaml")
def validate_yaml(handler: _Handler) -> Any:
    errors = []
    try:
        for model in _metadata(handler.json()["content"]).get("model-index", []):
            for result in model["results"]:
                missing = {"task", "dataset", "metrics"} - result.keys() | {"type", "name"} - result["dataset"].keys()
                errors += [f'"model-index" lacks {name}' for name in missing]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        errors.append(f"cannot be read: {error!r}")
    if errors:
        handler.reply({"errors": [{"message": text} for text in errors], "warnings": []}, status=400)
        return None
    return {"errors": [], "warnings": []}


@route("POST", rf"{_API}/preupload/(?P<revision>[^/]+)")
def preupload(handler: _Handler, repo: Any, revision: str) -> Any:
    there = handler.hub.commit_of(repo, revision)[1]["files"]

    def judge(file: dict[str, Any]) -> dict[str, Any]:
        is_large = file["size"] > _TEXT_LIMIT or b"\0" in base64.b64decode(file["sample"])
        entry = there.get(file["path"])
        oid = None if entry is None else entry["sha256" if entry["lfs"] else "oid"]
        mode = "lfs" if is_large else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    return {"files": [judge(file) for file in handler.json()["files"]]}


@route("POST", rf"{_GIT}\.git/info/lfs/objects/batch")
def lfs_batch(handler: _Handler, repo: Any) -> Any:
    def action(asked: dict[str, Any]) -> dict[str, Any]:
        if handler.hub.blob(asked["oid"]).is_file():
            return asked
        return {**asked, "actions": {"upload": {"href": f"{handler.hub.url}/lfs/{asked['oid']}"}}}

    return {"transfer": "basic", "objects": [action(asked) for asked in handler.json()["objects"]]}


@route("PUT", "/lfs/(?P<sha256>[^/]+)")
def lfs_upload(handler: _Handler, sha256: str) -> Any:
    if hashlib.sha256(handler.body).hexdigest() != sha256:
        raise Refused(422, "content and name differ")
    handler.hub.store(handler.body)
    return {}


@route("POST", rf"{_API}/commit/(?P<revision>[^/]+)")
def commit(handler: _Handler, repo: Any, revision: str) -> Any:
    hub, title = handler.hub, ""
    if revision not in repo["branches"]:
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    parent, before = hub.commit_of(repo, revision)
    files = dict(before["files"])
    for line in handler.body.splitlines():
        item = json.loads(line)
        value = item["value"]
        if item["key"] == "header":
            title = value["summary"]
        elif item["key"] == "file":
            files[value["path"]] = hub.store(base64.b64decode(value["content"]))
        elif item["key"] == "lfsFile":
            if not hub.blob(value["oid"]).is_file():
                raise Refused(400, f"{value['path']}: no such large file")
            pointer = hashlib.sha1(value["oid"].encode()).hexdigest()
            files[value["path"]] = {"sha256": value["oid"], "size": value["size"], "oid": pointer, "lfs": True}
        elif item["key"] == "deletedFile":
            if files.pop(value["path"], None) is None:
                raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        elif item["key"] == "deletedFolder":
            files = {path: entry for path, entry in files.items() if not path.startswith(value["path"])}
        else:
            raise Refused(400, f"the stand-in knows no {item['key']}")
    oid = hub.commit(repo, revision, files, title, parent)
    return {"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{repo['id']}/commit/{oid}", "hookOutput": ""}


# Download


def _described(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    large = {"lfs": {"oid": entry["sha256"], "size": entry["size"], "pointerSize": 134}} if entry["lfs"] else {}
    return {"type": "file", "path": path, "oid": entry["oid"], "size": entry["size"], **large}


@route("GET", rf"{_API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(handler: _Handler, repo: Any, revision: str, folder: str = "") -> Any:
    files = handler.hub.commit_of(repo, revision)[1]["files"]
    start = f"{folder}/" if folder else ""
    below = {path: entry for path, entry in sorted(files.items()) if path.startswith(start)}
    if folder and not below:
        raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    folders = {str(parent) for path in below for parent in Path(path).parents if str(parent).startswith(start)} - {"."}
    listed = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
    listed += [_described(path, entry) for path, entry in below.items()]
    recursive = handler.query.get("recursive", ["false"])[0].lower() in ("true", "1")
    return listed if recursive else [item for item in listed if "/" not in item["path"][len(start) :]]


@route("POST", rf"{_API}/paths-info/(?P<revision>[^/]+)")
def paths_info(handler: _Handler, repo: Any, revision: str) -> Any:
    files = handler.hub.commit_of(repo, revision)[1]["files"]
    form = parse_qs(handler.body.decode())
    asked = form["paths"] if "paths" in form else handler.json()["paths"]
    return [_described(path, files[path]) for path in asked if path in files]


@route("GET", rf"{_GIT}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(handler: _Handler, repo: Any, revision: str, path: str) -> Any:
    oid, found = handler.hub.commit_of(repo, revision)
    if path not in found["files"]:
        handler.reply(
            {"error": "Entry not found"},
            status=404,
            headers={"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": oid},
        )
        return None
    entry = found["files"][path]
    etag = entry["sha256"] if entry["lfs"] else entry["oid"]
    headers = {"X-Repo-Commit": oid, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    content = handler.hub.blob(entry["sha256"]).read_bytes()
    status = 200
    if match := re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", "")):
        first, last = int(match[1]), min(int(match[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        content, status = content[first : last + 1], 206
    handler.reply(content, status=status, headers=headers)
    return None


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
