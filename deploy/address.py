"""Address on which the site listens."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.errors import StartError


@dataclass(frozen=True)
class Address:
    """Host and port on which the site listens."""

    host: str
    port: int

    @property
    def reachable_host(self) -> str:
        """Host to open in a browser: nobody can connect to "every address"."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def url(self) -> str:
        """Address to type into a browser."""
        return f"http://{_bracket(self.reachable_host)}:{self.port}"

    @property
    def bind(self) -> str:
        """Address on which gunicorn listens."""
        return f"{_bracket(self.host)}:{self.port}"


def read_address(environ: Mapping[str, str]) -> Address:
    """Return the address that HOST and PORT name.

    Raises:
        StartError: if PORT is no port.
    """
    text = environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise StartError(f"PORT must be a whole number from 1 to 65535, not {text!r}.")
    return Address(environ.get("HOST") or "127.0.0.1", int(text))


def check_free(address: Address) -> None:
    """Check that the site can listen there.

    Raises:
        StartError: if it cannot.
    """
    try:
        family, kind, protocol, _, address_info = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address_info)
            probe.listen()
    except OSError as error:
        raise StartError(
            f"Cannot listen on {address.bind}: {error.strerror}. "
            "Choose another: make run PORT=8001, or HOST=..."
        ) from None


def serves(address: Address) -> bool:
    """Return whether the first page is answered, if only by a redirect."""
    connection = http.client.HTTPConnection(address.reachable_host, address.port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
