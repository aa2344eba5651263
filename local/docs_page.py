"""GET /docs on one's own machine: Swagger UI over /openapi.json.

Its two files come with Powertools, which is installed, so that nothing is fetched from elsewhere.
"""

from pathlib import Path

import aws_lambda_powertools

from local.plane.gateway import Answer

_FOLDER = Path(aws_lambda_powertools.__file__).parent / "event_handler" / "openapi" / "swagger_ui"
_FILES = {
    "/docs/swagger-ui.js": ("swagger-ui-bundle.min.js", "text/javascript"),
    "/docs/swagger-ui.css": ("swagger-ui.min.css", "text/css"),
}
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui", deepLinking: true})'
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Evergreen's API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><div id="ui"></div>
<script src="/docs/swagger-ui.js"></script><script src="/docs/start.js"></script></html>
"""
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


def page(path: str) -> Answer | None:
    """Return the page, or a file of it; None for another path."""
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    if path in _FILES:
        name, media = _FILES[path]
        text = (_FOLDER / name).read_text(encoding="utf-8")
    elif path in ("/docs", "/docs/start.js"):
        text, media = (_PAGE, "text/html") if path == "/docs" else (_START, "text/javascript")
    else:
        return None
    return Answer(200, headers | {"content-type": f"{media}; charset=utf-8"}, text)
