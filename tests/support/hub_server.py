"""A local server that speaks as much of the Hugging Face Hub's protocol as its client needs to fetch a model.

Large files are answered as the Hub does, with a redirect to a store. It counts
what it is asked for, and fails on demand: a status for everything or for one
file, or a download that breaks off in the middle.
"""

import contextlib
import dataclasses
import hashlib
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

__all__ = ["HubServer", "Repository", "commit_of"]

#: The files that the Hub keeps in its store of large files.
LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx")
#: A token that is refused wherever it is sent, even for what is public.
EXPIRED = "hf_expired"


def commit_of(files):
    """Return the commit hash that stands for these files, 40 hexadecimal digits."""
    digests = sorted((path, hashlib.sha1(data).hexdigest()) for path, data in files.items())
    return hashlib.sha1(repr(digests).encode()).hexdigest()


@dataclasses.dataclass
class Repository:
    """A repository: `{revision: {path: bytes}}`, and who may read it.

    Args:
        revisions: dict. Branches and tags; each is a commit of its own unless equal.
        token: optional str. The one token that may see it; without, it seems not to exist.
        gated: bool. Whether its listing is open and its files are not.
    """

    revisions: dict
    token: str | None = None
    gated: bool = False

    def find(self, revision):
        """Return `(commit, files)` of a branch, tag or commit, or `None`."""
        for name, files in self.revisions.items():
            if revision in (name, commit_of(files)):
                return commit_of(files), files
        return None


@dataclasses.dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    token: str | None


class HubServer:
    """Serves repositories on a free port of this machine.

    Args:
        repositories: `{"org/name": Repository}`.
    """

    def __init__(self, repositories):
        self.repositories = repositories
        self.status = None  # Answered to everything, where set.
        self.file_status = {}  # path -> status of that file
        self.cut_after = {}  # path -> bytes after which its next download breaks off
        self.requests = []
        self.connections = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.store_url = f"http://localhost:{self._http.server_port}"  # Another host, as the Hub's store is.

    @contextlib.contextmanager
    def running(self):
        """Serve inside the block; after it, connections are refused."""
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join()

    def stop(self):
        """Go away, as a network that is down."""
        self._http.shutdown()
        self._http.server_close()
        for connection in self.connections:  # A client keeps its connections for the next request.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forget(self):
        """Count from 0 again."""
        self.requests.clear()

    @property
    def fetched(self):
        """The files downloaded since the last `forget`, sorted; one in two parts is there twice."""
        gets = [request.path for request in self.requests if request.method == "GET"]
        found = [re.fullmatch(r"/.+/resolve/[^/]+/(.+)|/store/[0-9a-f]+/(.+)", path) for path in gets]
        return sorted(match[1] or match[2] for match in found if match)


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            server.connections.append(self.connection)

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
            server.requests.append(Request(self.command, path, self.headers.get("Range"), token))
            if server.status is not None:
                return self.answer(server.status)
            if token == EXPIRED:
                return self.answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
            if found := re.fullmatch(r"/api/models/(.+?)(/(revision|tree)/([^/]+))?", path):
                return self.describe(found[1], found[3], found[4] or "main", token)
            if found := re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path):
                return self.resolve(*found.groups(), token)
            if found := re.fullmatch(r"/store/([0-9a-f]{40})/(.+)", path):
                return self.send_file(found[2], self.stored(*found.groups()))
            return self.answer(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

        def find(self, name, revision, token):
            """Return repository, commit and files, or answer with the Hub's refusal and return `None`."""
            repository = server.repositories.get(name)
            if repository is None or repository.token not in (None, token):
                return self.answer(404 if token else 401, {"X-Error-Code": "RepoNotFound"} if token else {})
            found = repository.find(revision)
            if found is None:
                return self.answer(404, {"X-Error-Code": "RevisionNotFound"})
            return repository, *found

        def describe(self, name, what, revision, token):
            if found := self.find(name, revision, token):
                _, commit, files = found
                if what == "tree":
                    body = [
                        {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for path, data in files.items()
                    ]
                else:
                    body = {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]}
                self.answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

        def resolve(self, name, revision, path, token):
            found = self.find(name, revision, token)
            if found is None:
                return None
            repository, commit, files = found
            if repository.gated:
                return self.answer(403 if token else 401, {"X-Error-Code": "GatedRepo"})
            if path in server.file_status:
                return self.answer(server.file_status[path])
            headers = {"X-Repo-Commit": commit}
            if path not in files:
                return self.answer(404, {"X-Error-Code": "EntryNotFound", **headers})
            if path.endswith(LARGE):
                headers["X-Linked-Etag"] = f'"{hashlib.sha256(files[path]).hexdigest()}"'
                headers["X-Linked-Size"] = str(len(files[path]))
                return self.answer(302, {"Location": f"{server.store_url}/store/{commit}/{path}", **headers})
            return self.send_file(path, files[path], headers)

        def stored(self, commit, path):
            found = (repository.find(commit) for repository in server.repositories.values())
            return next(filter(None, found))[1][path]

        def send_file(self, path, data, headers=()):
            headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept-Ranges": "bytes", **dict(headers)}
            status, start = 200, 0
            if part := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                status, start = 206, int(part[1])
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            cut = server.cut_after.pop(path, None) if self.command == "GET" else None
            self.answer(status, headers, data[start:], cut)

        def answer(self, status, headers=(), body=b"", cut=None):
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True

    return Handler
