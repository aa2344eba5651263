"""Who asks: whoever signed a request, or whom its token names."""

from evergreen.aws import place
from evergreen.contract import errors
from http_api.dispatch import Request


def caller(request: Request) -> str:
    """Return ARN and id of who signed, or whom a token names; `local` on one's own machine."""
    authorizer = request.event["requestContext"].get("authorizer") or {}
    signer, token = authorizer.get("iam") or {}, (authorizer.get("jwt") or {}).get("claims") or {}
    if signer.get("userArn"):
        return f"{signer['userArn']} ({signer.get('userId')})"
    if "sub" not in token and place.in_an_account():
        raise errors.UnsignedError("nobody signed this request: its route must ask who it is")
    return str(token.get("sub") or "local")
