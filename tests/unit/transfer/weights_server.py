import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from tests.servers import answering


@dataclass
class WeightsServer:
    """A server of one file, which does what a test wants of it."""

    content: bytes
    status: int = 200
    break_after: int | None = None
    """Bytes of a reply after which the connection is closed."""
    digest: str = ""
    """In the file's name; by default the right one."""
    asked: int = 0
    """Requests so far."""
    port: int = 0

    @property
    def url(self) -> str:
        digest = self.digest or hashlib.sha256(self.content).hexdigest()[:8]
        return f"http://127.0.0.1:{self.port}/models/vgg19-{digest}.pth"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        request.send_response(self.status)
        request.send_header("Content-Length", str(len(self.content)))
        request.end_headers()
        request.wfile.write(self.content[: self.break_after])


@contextmanager
def serving(content: bytes) -> Iterator[WeightsServer]:
    """On a port of this machine, until the end of the block."""
    server = WeightsServer(content)
    with answering(server.answer) as server.port:
        yield server
