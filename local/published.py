"""Write into the built template the digest of what SAM does not see: layers, and samconfig.toml.

SAM publishes a version of a function when its code, or a literal of its environment, changes. So
that literal is in git a placeholder, and in what is deployed the digest.
"""

import hashlib
import sys

from local import command_line
from local.template import ROOT

PLACEHOLDER = "make-build-writes-it"
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"


def digest() -> str:
    """Return the SHA-256 of what the layers are made from, and of each environment's parameters."""
    files = sorted(path for path in (ROOT / "layers" / "serving").iterdir() if path.is_file())
    bodies = [path.read_bytes() for path in [*files, ROOT / "samconfig.toml"]]
    return hashlib.sha256(b"\0".join(bodies)).hexdigest()


def main() -> None:
    """Write the digest; SystemExit where the built template has no place for it."""
    if (text := BUILT.read_text()).count(PLACEHOLDER) != 1:
        sys.exit(f"template.yaml must say PUBLISHED_SHA256: {PLACEHOLDER}, once, in Globals")
    BUILT.write_text(text.replace(PLACEHOLDER, digest()))


if __name__ == "__main__":
    command_line.parser("local.published", __doc__, "make build").parse_args()
    main()
