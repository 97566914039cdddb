import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.servers import answering


@dataclass
class WeightsServer:
    """A server of one file, which does what a test wants of it."""

    content: bytes
    has_ranges: bool = True
    has_length: bool = True
    status: int = 200
    break_after: int | None = None
    """Bytes of a reply after which the connection is closed."""
    silent_after: int | None = None
    """Bytes of a reply after which nothing comes until `released`."""
    released: threading.Event = field(default_factory=threading.Event)
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""
    port: int = 0

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/models/vgg19-{self.digest[:8]}.pth"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        begin = int(wanted[6:-1]) if wanted and self.has_ranges else 0
        status = self.status
        if begin:
            status = 206 if begin < len(self.content) else 416
        body = self.content[begin:] if status in {200, 206} else b"no"
        request.send_response(status)
        if self.has_length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.silent_after is not None:
            request.wfile.write(body[: self.silent_after])
            self.released.wait(30)
            body = body[self.silent_after :]
        request.wfile.write(body[: self.break_after])


@contextmanager
def serving(content: bytes) -> Iterator[WeightsServer]:
    """On a port of this machine, until the end of the block."""
    server = WeightsServer(content)
    with answering(server.answer) as server.port:
        try:
            yield server
        finally:
            server.released.set()
