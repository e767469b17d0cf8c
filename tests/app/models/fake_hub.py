"""A Hugging Face hub on loopback: enough of its API for one repository to be listed and fetched, with ranges."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

REVISION = "c" * 40


class Hub:
    """The files of one repository. `lies` maps a file to bytes sent in place of its own."""

    def __init__(self, repo: str, folder: Path) -> None:
        self.repo, self.folder = repo, folder
        self.lies: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: dict[str, int] = {}
        """File to the number of bytes after which its next download breaks off, once."""
        self.url = ""

    def files(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for path in sorted(self.folder.iterdir()):
            data = path.read_bytes()
            entry: dict[str, object] = {"rfilename": path.name, "size": len(data), "blobId": git_sha(data)}
            if path.suffix in (".gguf", ".safetensors", ".bin"):
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
            found.append(entry)
        return found


def git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - git's own


@contextmanager
def serving(repo: str, folder: Path) -> Iterator[Hub]:
    """The hub while the block runs."""
    hub = Hub(repo, folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_HEAD(self) -> None:
            self._file(body=False)

        def do_GET(self) -> None:
            path = unquote(urlparse(self.path).path)
            if path.startswith("/api/models/"):
                self._api(path)
            else:
                self._file(body=True)

        def _api(self, path: str) -> None:
            if not path.startswith(f"/api/models/{hub.repo}"):
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif "/tree/" in path:
                tree = [
                    {"type": "file", "path": e["rfilename"], "size": e["size"], "oid": e["blobId"]}
                    | (
                        {"lfs": {"oid": e["lfs"]["sha256"], "size": e["size"], "pointerSize": 134}}
                        if "lfs" in e
                        else {}
                    )  # type: ignore[index]
                    for e in hub.files()
                ]
                self._send(200, json.dumps(tree).encode(), {})
            else:
                info = {
                    "id": hub.repo,
                    "modelId": hub.repo,
                    "sha": REVISION,
                    "siblings": hub.files(),
                    "private": False,
                }
                self._send(200, json.dumps(info).encode(), {})

        def _file(self, *, body: bool) -> None:
            name = unquote(urlparse(self.path).path).rpartition("/")[2]
            path = hub.folder / name
            if not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            entry = next(item for item in hub.files() if item["rfilename"] == name)
            data = hub.lies.get(name, path.read_bytes())
            lfs = entry.get("lfs")
            headers = {
                "ETag": f'"{lfs["sha256"] if isinstance(lfs, dict) else entry["blobId"]}"',
                "X-Repo-Commit": REVISION,
                "Accept-Ranges": "bytes",
            }
            wanted = self.headers.get("Range")
            if body:
                hub.asked.append((name, wanted))
            start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
            if wanted:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            cut = body and name in hub.cuts
            self._send(206 if wanted else 200, data[start:], headers, body=body and not cut)
            if cut:
                self._break_off(name, data[start:])

        def _send(self, status: int, data: bytes, headers: dict[str, str], *, body: bool = True) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def _break_off(self, name: str, data: bytes) -> None:
            self.wfile.write(data[: hub.cuts.pop(name)])
            self.wfile.flush()
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
