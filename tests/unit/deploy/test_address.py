import pytest

from deploy.address import read_address
from deploy.errors import StartError


def test_address_has_defaults() -> None:
    address = read_address({})

    assert address.url == "http://127.0.0.1:8000"
    assert address.bind == "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("host", "bind", "url"),
    [
        ("0.0.0.0", "0.0.0.0:80", "http://127.0.0.1:80"),
        ("::", "[::]:80", "http://[::1]:80"),
        ("paint.example", "paint.example:80", "http://paint.example:80"),
    ],
)
def test_address_can_be_opened_in_a_browser(host: str, bind: str, url: str) -> None:
    address = read_address({"HOST": host, "PORT": "80"})

    assert (address.bind, address.url) == (bind, url)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "8000.0", "http", "٣", " 80"])
def test_port_must_be_a_port_number(port: str) -> None:
    with pytest.raises(StartError, match="PORT must be"):
        read_address({"PORT": port})
