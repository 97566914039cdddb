"""Security headers of responses, and size limits of requests."""

from flask import Flask, Response, g, request

from webapp.extensions import get_config

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        # blob: lets the studio show a chosen file before it is sent.
        "img-src 'self' blob:",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FORM_BYTES = 500_000
"""Most bytes of a request without its pictures."""


def init_app(app: Flask, *, is_https: bool) -> None:
    """Set the headers of every response; HSTS only if the site is served over TLS."""

    @app.after_request
    def set_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if is_https:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        is_static = request.endpoint == "static" and response.status_code < 400
        if not response.headers.get("Cache-Control") and not is_static:
            # Pages are private: no cache may keep them, and Back must not show them after log-out.
            response.headers["Cache-Control"] = "no-store"
        return response


def allow_upload(files: int) -> None:
    """Let this request carry up to ``files`` pictures; other requests carry form fields only.

    Call it before the body is parsed. It does nothing for visitors, who must not make the server
    store megabytes.
    """
    # Werkzeug parses only multipart bodies piece by piece; others are read into memory whole.
    if g.user is not None and request.mimetype == "multipart/form-data":
        limit = get_config().max_upload_bytes
        request.max_content_length = FORM_BYTES + files * limit
