"""An HTTP server on loopback that gives one file: whole, or byte by byte and never to its end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves `content` at /model.onnx; of `slow` answers so much comes at once, and a byte now and
    then: "headers" before the answer has begun, "body" in it."""

    daemon_threads = True

    def __init__(self, content: bytes, slow: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.slow = content, slow
        self.asked = 0
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.onnx"


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.path != "/model.onnx":
            self.send_error(404)
            return
        if self.server.slow == "headers":
            self._trickle(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 90)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        if self.server.slow == "body":
            self._trickle(self.server.content)
        else:
            self.wfile.write(self.server.content)

    def _trickle(self, content: bytes) -> None:
        with suppress(OSError):  # who asked has gone
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.server.over.wait(0.05):
                    return
            self.server.over.wait()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def serving(content: bytes, slow: str = "") -> Iterator[FileServer]:
    """The server, at work in a thread until the block ends."""
    with FileServer(content, slow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
