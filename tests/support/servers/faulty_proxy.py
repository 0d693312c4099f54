"""A proxy in front of an S3 server that fails on purpose; standard library only."""

import http.client
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS = {
    "403": ("AccessDenied", 403), "404": ("NoSuchKey", 404), "500": ("InternalError", 500),
    "503": ("SlowDown", 503),
}  # fmt: skip
# (method, path, number of the request from 0) → "" to pass it on, "drop" to end the connection
# without an answer, "cut" to end it in the middle of the answer, or a key of ERRORS.
Fault = Callable[[str, str, int], str]


@dataclass
class Faults:
    """What goes wrong from now on, and what went wrong so far."""

    choose: Fault = lambda method, path, number: ""
    seen: list[str] = field(default_factory=list)
    requests: int = 0


class Server(ThreadingHTTPServer):
    """Says nothing of clients that have gone, as those do whose command ends."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)


@contextmanager
def proxy(server_port: int, faults: Faults) -> Iterator[int]:
    """Pass requests on to the server on loopback; gives the proxy's port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                fault = faults.choose(self.command, self.path, faults.requests)
                faults.requests += 1
                if fault:
                    faults.seen.append(fault)
            if fault == "drop":
                self.close_connection = True
            elif fault in ERRORS:
                code, status = ERRORS[fault]
                text = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
                self.answer(status, [], b"" if self.command == "HEAD" else text, len(text))
            else:
                self.ask_server(body, cut=fault == "cut")

        def ask_server(self, body: bytes, cut: bool) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server_port, timeout=30)
            try:
                # The Host header stays as it is: the client has signed it.
                connection.putrequest(self.command, self.path, True, True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                content = answer.read()
                length = int(answer.headers.get("Content-Length", len(content)))
                if cut:
                    content = content[: len(content) // 2]
                    self.close_connection = True
                self.answer(answer.status, answer.getheaders(), content, length)
            except OSError:  # the server is away
                self.close_connection = True
            finally:
                connection.close()

        def answer(
            self, status: int, headers: list[tuple[str, str]], content: bytes, length: int
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        def log_message(self, *_: object) -> None:
            """Nothing: the test says what failed."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
