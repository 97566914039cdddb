"""Monitor of a browser's errors that no page shows."""

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError


class ErrorMonitor:
    """Collects console messages, script errors, failed requests and statuses from 400 on."""

    def __init__(self, context: BrowserContext, expected_statuses: set[int]) -> None:
        self._expected_statuses = expected_statuses
        self._errors: list[str] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("requestfailed", self._on_request_failed)
        context.on("response", self._on_response)

    def check(self) -> None:
        """Fail if there was any error."""
        if self._errors:
            raise AssertionError("\n".join(self._errors))

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium repeats every status from 400 on in the console; those are judged below.
        is_status = message.text.startswith("Failed to load resource: the server responded")
        if message.type in {"error", "warning"} and not is_status:
            self._errors.append(f"console: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self._errors.append(f"script: {error.error}")

    def _on_request_failed(self, request: Request) -> None:
        # Downloads, and what was still loading when the page was left, end as aborted.
        if request.failure != "net::ERR_ABORTED":
            self._errors.append(f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._expected_statuses:
            self._errors.append(f"{response.request.method} {response.url}: {response.status}")
