"""What API Gateway does: match a request with a route, and make an event of it."""

import base64
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from local.template import ACCOUNT

Texts = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Texts
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Route:
    """One method and path of the API, and the function behind it."""

    method: str
    path: str
    function: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))


def joined(pairs: Iterable[tuple[str, str]]) -> Texts:
    """Return headers or a query as one value for each name: those that came twice, with a comma.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    found = Texts()
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def http_event(
    route: Route, path: str, query: str, parameters: Texts, body: bytes | None, headers: Texts
) -> dict[str, Any]:
    """Return the event that an HTTP API sends, payload format 2.0."""
    now, key = datetime.now(UTC), f"{route.method} {route.path}"
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": joined((key.lower(), value) for key, value in headers.items()),
        "pathParameters": parameters,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": "127.0.0.1",
            "http": {
                "method": route.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("User-Agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": key,
            "stage": "$default",
            "time": f"{now:%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = joined(parse_qsl(query, keep_blank_values=True))
    if body:
        try:
            event["body"] = body.decode()
        except UnicodeDecodeError:
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event
