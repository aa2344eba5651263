"""Where this runs: in an account of AWS, or on somebody's own machine."""

import os


def in_an_account() -> bool:
    """Return whether AWS runs this, and not `make`, `sam local` or a test.

    Only Lambda's runtime sets AWS_LAMBDA_RUNTIME_API, and only sam's containers AWS_SAM_LOCAL.
    """
    return "AWS_LAMBDA_RUNTIME_API" in os.environ and os.environ.get("AWS_SAM_LOCAL") != "true"
