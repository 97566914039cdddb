"""Proxy that sends each page of the site in two parts, as a slow line does."""

import contextlib
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from tests.servers import answering


@contextlib.contextmanager
def slow_line(address: str, break_after: bytes, pause_s: float) -> Iterator[str]:
    """Serve the site's pages up to ``break_after``, and the rest after a pause, at an address."""

    def relay(request: BaseHTTPRequestHandler) -> None:
        headers = {"Cookie": request.headers.get("Cookie", "")}
        upstream = urllib.request.Request(address + request.path, headers=headers)
        with urllib.request.urlopen(upstream) as answer:
            body, kind = answer.read(), answer.headers["Content-Type"]
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        first, mark, rest = body.partition(break_after)
        request.wfile.write(first + mark)
        if mark:
            # A pause on purpose, not a wait: the browser has half a page meanwhile.
            time.sleep(pause_s)
            request.wfile.write(rest)

    with answering(relay) as port:
        yield f"http://127.0.0.1:{port}"
