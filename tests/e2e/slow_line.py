"""The site over a slow line: each page comes in two parts."""

import contextlib
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from tests.servers import answering


@contextlib.contextmanager
def slow_line(address: str, break_after: bytes, pause_s: float) -> Iterator[str]:
    """An address at which the site's pages come up to some bytes, and the rest after a pause."""

    def relay(request: BaseHTTPRequestHandler) -> None:
        headers = {"Cookie": request.headers.get("Cookie", "")}
        asked = urllib.request.Request(address + request.path, headers=headers)
        with urllib.request.urlopen(asked) as answer:
            body, kind = answer.read(), answer.headers["Content-Type"]
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        first, mark, rest = body.partition(break_after)
        request.wfile.write(first + mark)
        if mark:
            # This is what it is about: a browser that has half a page for so long.
            time.sleep(pause_s)
            request.wfile.write(rest)

    with answering(relay) as port:
        yield f"http://127.0.0.1:{port}"
