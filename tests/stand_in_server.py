"""A server on this machine that answers as those do which public data are downloaded from."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 3  # files on a page of the listing of the store


class Server(ThreadingHTTPServer):
    """Files in memory; what was asked for is kept."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.cut: dict[str, int] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def downloads(self) -> list[str]:
        return [path for method, path, _ in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    """HTTP with byte ranges and ETags, the listing of Amazon S3, and the snapshot query of OpenNeuro."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.server.asked.append((self.command, path, self.headers.get("Range", "")))
        if "list-type=2" in parts.query:
            self._send(200, self._list(parse_qs(parts.query)).encode())
        elif path not in self.server.files:
            self._send(404, b"")
        else:
            content = self.server.files[path]
            etag = {"ETag": f'"{hashlib.md5(content).hexdigest()}"'}
            start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            self._send(
                206 if start else 200, content[int(start[1]) if start else 0 :], etag, self.server.cut.pop(path, None)
            )

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        files = [
            {
                "filename": name.removeprefix("/raw/"),
                "urls": [self.server.address + name],
                "size": len(content),
                "id": name,
            }
            for name, content in self.server.files.items()
            if name.startswith("/raw/")
        ]
        snapshot = {"id": "ds000030:1.0.0", "files": files}
        answer = (
            {"snapshot": snapshot} if "snapshot(" in query else {"dataset": {"snapshots": [{"id": snapshot["id"]}]}}
        )
        self._send(200, json.dumps({"data": answer}).encode(), {"Content-Type": "application/json"})

    def _list(self, query: dict[str, list[str]]) -> str:
        prefix = query["prefix"][0]
        names = sorted(name[7:] for name in self.server.files if name.startswith(f"/store/{prefix}"))
        first = int(query.get("continuation-token", ["0"])[0])
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.server.files['/store/' + name])}</Size></Contents>"
            for name in names[first : first + PAGE]
        )
        more = first + PAGE < len(names)
        token = f"<NextContinuationToken>{first + PAGE}</NextContinuationToken>" if more else ""
        return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server, and stop it in the end."""
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
