"""What the stand-in for the Hub (hub_server.py) answers: one function for each kind of request."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import yaml

_TEXT_LIMIT = 100_000  # bytes of a text that is no large file
_DATE = "2024-01-01T00:00:00.000Z"


class Refused(Exception):
    """An answer that is no success; `code` is what the client looks at."""

    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


Route = tuple[str, re.Pattern[str], Callable[..., Any]]
ROUTES: list[Route] = []
_API = r"/api/(?P<kinds>models|datasets|spaces)/(?P<repo_id>[^/]+/[^/]+)"
_GIT = r"/(?:(?P<kinds>datasets|spaces)/)?(?P<repo_id>[^/]+/[^/]+)"


def route(method: str, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What answers a request."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        ROUTES.append((method, re.compile(path), function))
        return function

    return register


# Repositories


@route("GET", "/api/whoami-v2")
def who_am_i(handler: Any) -> Any:
    if handler.user is None:
        raise Refused(401, "Invalid username or password.")
    organizations = [{"name": name, "type": "org"} for name in handler.hub.organizations]
    token = {"accessToken": {"displayName": "stand-in", "role": "read" if handler.hub.read_only else "write"}}
    return {"type": "user", "name": handler.user, "orgs": organizations, "auth": {"type": "access_token", **token}}


@route("POST", "/api/repos/create")
def create_repo(handler: Any) -> Any:
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
def repo_info(handler: Any, repo: Any, revision: str = "main") -> Any:
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
def refs(handler: Any, repo: Any) -> Any:
    def listed(kind: str, where: str) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{where}/{name}", "targetCommit": oid} for name, oid in repo[kind].items()]

    return {"branches": listed("branches", "heads"), "tags": listed("tags", "tags"), "converts": []}


@route("GET", rf"{_API}/commits/(?P<revision>[^/]+)")
def commits(handler: Any, repo: Any, revision: str) -> Any:
    found, (oid, commit) = [], handler.hub.commit_of(repo, revision)
    while commit:
        found.append({"id": oid, "title": commit["title"], "message": "", "date": _DATE, "authors": []})
        oid, commit = commit["parent"], repo["commits"].get(commit["parent"])
    return found


@route("POST", rf"{_API}/(?P<what>branch|tag)/(?P<name>[^/]+)")
def create_reference(handler: Any, repo: Any, what: str, name: str) -> Any:
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
def validate_yaml(handler: Any) -> Any:
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
def preupload(handler: Any, repo: Any, revision: str) -> Any:
    there = handler.hub.commit_of(repo, revision)[1]["files"]

    def judge(file: dict[str, Any]) -> dict[str, Any]:
        is_large = file["size"] > _TEXT_LIMIT or b"\0" in base64.b64decode(file["sample"])
        entry = there.get(file["path"])
        oid = None if entry is None else entry["sha256" if entry["lfs"] else "oid"]
        mode = "lfs" if is_large else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    return {"files": [judge(file) for file in handler.json()["files"]]}


@route("POST", rf"{_GIT}\.git/info/lfs/objects/batch")
def lfs_batch(handler: Any, repo: Any) -> Any:
    def action(asked: dict[str, Any]) -> dict[str, Any]:
        if handler.hub.blob(asked["oid"]).is_file():
            return asked
        return {**asked, "actions": {"upload": {"href": f"{handler.hub.url}/lfs/{asked['oid']}"}}}

    return {"transfer": "basic", "objects": [action(asked) for asked in handler.json()["objects"]]}


@route("PUT", "/lfs/(?P<sha256>[^/]+)")
def lfs_upload(handler: Any, sha256: str) -> Any:
    if hashlib.sha256(handler.body).hexdigest() != sha256:
        raise Refused(422, "content and name differ")
    handler.hub.store(handler.body)
    return {}


@route("POST", rf"{_API}/commit/(?P<revision>[^/]+)")
def commit(handler: Any, repo: Any, revision: str) -> Any:
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
def tree(handler: Any, repo: Any, revision: str, folder: str = "") -> Any:
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
def paths_info(handler: Any, repo: Any, revision: str) -> Any:
    files = handler.hub.commit_of(repo, revision)[1]["files"]
    form = parse_qs(handler.body.decode())
    asked = form["paths"] if "paths" in form else handler.json()["paths"]
    return [_described(path, files[path]) for path in asked if path in files]


@route("GET", rf"{_GIT}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(handler: Any, repo: Any, revision: str, path: str) -> Any:
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
