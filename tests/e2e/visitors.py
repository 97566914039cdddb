"""What goes wrong in a browser without anybody seeing it."""

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError


class Watch:
    """Notes console messages, errors of scripts, failed requests and refusals of a browser."""

    def __init__(self, context: BrowserContext, expected_statuses: set[int]) -> None:
        self._expected_statuses = expected_statuses
        self._troubles: list[str] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("requestfailed", self._on_request_failed)
        context.on("response", self._on_response)

    def check(self) -> None:
        """Fail if there was any trouble."""
        if self._troubles:
            raise AssertionError("\n".join(self._troubles))

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium repeats every status from 400 on in the console; those are judged below.
        is_status = message.text.startswith("Failed to load resource: the server responded")
        if message.type in {"error", "warning"} and not is_status:
            self._troubles.append(f"console: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self._troubles.append(f"script: {error.error}")

    def _on_request_failed(self, request: Request) -> None:
        # What was still loading when the page was left, and downloads, end as aborted.
        if request.failure != "net::ERR_ABORTED":
            self._troubles.append(f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._expected_statuses:
            self._troubles.append(f"{response.request.method} {response.url}: {response.status}")
