"""The site over a slow line: each page comes in two parts."""

import contextlib
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def slow_line(address: str, break_after: bytes, pause_s: float) -> Iterator[str]:
    """An address at which the site's pages come up to some bytes, and the rest after a pause."""

    class Relay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {"Cookie": self.headers.get("Cookie", "")}
            asked = urllib.request.Request(address + self.path, headers=headers)
            with urllib.request.urlopen(asked) as answer:
                body, kind = answer.read(), answer.headers["Content-Type"]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            first, mark, rest = body.partition(break_after)
            self.wfile.write(first + mark)
            if mark:
                self.wfile.flush()
                time.sleep(pause_s)
                self.wfile.write(rest)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
