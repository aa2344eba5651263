"""What attackers send: names that are paths, bodies that break readers, text that forges logs."""

import json
from collections.abc import Mapping

from tests.support import given
from tests.support.given import NAME, prediction_id, row

CONTROL = f"/control/endpoints/{NAME}"
PREDICT, FEEDBACK = f"/endpoints/{NAME}/predict", f"/endpoints/{NAME}/feedback"
LABELS = json.dumps({"labels": [{"id": prediction_id(1), "label": True}]}).encode()
DECISION = {"generation": 2, "reason": "because"}
POSTS = {  # each route that takes a body, with one that it takes
    PREDICT: given.body(),
    FEEDBACK: LABELS,
    f"{CONTROL}/retrain": b"{}",
    f"{CONTROL}/pause": json.dumps(DECISION).encode(),
    f"{CONTROL}/approve": json.dumps(DECISION | {"version": given.version(1)}).encode(),
}

NAMES = {
    "parent": "../../etc/passwd",
    "parent of the endpoint": f"../{NAME}",
    "only dots": "..",
    "encoded slash": "..%2f..%2fetc%2fpasswd",
    "encoded dots": "%2e%2e/%2e%2e/etc/passwd",
    "encoded twice": "%252e%252e%252fetc%252fpasswd",
    "overlong": "%c0%ae%c0%ae%c0%af",
    "matrix parameter": f"{NAME};/../../models",
    "NUL": f"{NAME}\x00.json",
    "encoded NUL": f"{NAME}%00",
    "absolute": "/etc/passwd",
    "drive": "C:\\windows\\win.ini",
    "URL of a bucket": "s3://another-bucket/models/model.onnx",
    "URL": "http://169.254.169.254/latest/meta-data/",
    "URL of a file": "file:///proc/self/environ",
    "long": "a" * 5_000,
    "dots of Unicode": "\u2025/\u2025/etc",
    "slash of Unicode": "..\uff0f..\uff0fetc",
    "hyphen of Unicode": "flight\u2010delay",
    "digits of Unicode": "\u0662\u0660\u0661\u0663T\u0660",
    "new header": f"{NAME}\r\nSet-Cookie: a=b",
    "new line": f"{NAME}\n",
    "space": f"{NAME} ",
    "case": NAME.upper(),
    "module": "flight_delay",
    "dunder": "__init__",
    "key of the history": f"{NAME}/history/000001",
    "file": f"{NAME}.json",
    "pattern": "*",
    "template": "{endpoint}",
    "half a character": "\ud800",
}

IN_PATHS = {
    "GET /endpoints/{endpoint}/versions/{version}": ("version", "unknown_version"),
    "GET /endpoints/{endpoint}/versions/{version}/report": ("version", "unknown_version"),
    "GET /control/endpoints/{endpoint}/predictions/{id}": ("id", "invalid_request"),
    "GET /control/endpoints/{endpoint}/decisions/{generation}": ("generation", "invalid_request"),
}
IN_QUERIES = {
    f"POST {PREDICT}?version=": "unknown_version",
    f"POST {PREDICT}?status=": "invalid_request",
    f"GET /endpoints/{NAME}/versions?status=": "invalid_request",
    f"GET {CONTROL}/explain?version=": "unknown_version",
    f"GET {CONTROL}/status?evidence=": "invalid_request",
    f"GET {CONTROL}/status?evidence=no&run=": "invalid_request",
    f"GET {CONTROL}/decisions?limit=": "invalid_request",
    **{
        f"GET {CONTROL}/predictions?{name}=": "invalid_request"
        for name in ("id", "before", "version", "only", "days", "until")
    },
}
IN_BODIES = {
    f"{CONTROL}/approve": ("version", {}),
    f"{CONTROL}/promote": ("version", {}),
    f"{CONTROL}/reject": ("version", {}),
    f"{CONTROL}/rollback": ("version", {}),
    f"{CONTROL}/experiments": (
        "treatment",
        {"share": 0.5, "hypothesis": "better", "min_rows": 10, "days": 7},
    ),
}
OWN = (  # what a request about an endpoint may look at
    f"endpoints/{NAME}.json",
    f"endpoints/{NAME}/",
    f"models/{NAME}/{given.version(1)[:6]}",
    f"runs/{NAME}/",
)

TYPES = (
    "application/x-python-serialize", "application/python-pickle", "application/x-pickle",
    "application/x-npy", "application/x-npz", "application/octet-stream", "application/msgpack",
    "application/x-msgpack", "application/x-yaml", "text/yaml", "application/xml", "text/xml",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain", "",
    "application/vnd.pandas+json", "application/jsonx", "application/json,application/x-npy",
    "application/x-npy; a=application/json", "*/*", "application/json\x00", "image/jpeg",
)  # fmt: skip

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get")

ODD = '\r\n\x1b[2J{"level":"ERROR","message":"forged"}\x00\x7f\x85\x9b31m\u2028\u2029\u202e"}\n'


def instances(text: str) -> bytes:
    """Return a request whose only row has a text in place of the hour."""
    return given.body(row(hour="HOUR")).replace(b'"HOUR"', text.encode("utf-8", "surrogatepass"))


DEEP = 100_000
BODIES: Mapping[str, bytes] = {
    "brackets": b"[" * DEEP,
    "closed brackets": b"[" * DEEP + b"]" * DEEP,
    "braces": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "brackets for a field": instances("[" * DEEP + "]" * DEEP),
    "brackets for the rows": b'{"instances":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "brackets in a field that there is not": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "5,000 digits": instances("9" * 5_000),
    "5,000 digits and a point": instances("9" * 5_000 + ".5"),
    "5,000 digits for a number": given.body(row(distance=77)).replace(b"77", b"9" * 5_000),
    "5,000 digits of an exponent": instances("1e" + "9" * 5_000),
    "1e400": instances("1e400"),
    "-1e400": instances("-1e400"),
    "NaN": instances("NaN"),
    "Infinity": instances("Infinity"),
    "-NaN": instances("-NaN"),
    "hexadecimal": instances("0x10"),
    "octal": instances("010"),
    "half a character": given.body(row(carrier="\ud800")),
    "half a character for a choice": given.body(row(origin="\ud800")),
    "half a character as a name": given.body(row(**{"\ud800": 1})),
    "half a character as the key": given.body(key="\udfff"),
    "encoded surrogates": instances('"\ud800"'),
    "a huge name": given.body(row(**{"k" * 900_000: 1})),
    "a huge name, and 5,000 digits": given.body(row(**{"k" * 900_000: 7771})).replace(
        b"7771", b"9" * 5_000
    ),
    "a huge text": given.body(row(carrier="x" * 900_000)),
    "a huge choice": given.body(row(origin="x" * 900_000)),
    "100,000 names": given.body(row(**{f"k{n}": 1 for n in range(60_000)})),
    "a mark before it": b"\xef\xbb\xbf" + given.body(),
    "UTF-16": given.body().decode().encode("utf-16"),
    "UTF-32": given.body().decode().encode("utf-32"),
    "UTF-7": b"+AHs-" + given.body()[1:],
    "NUL": b"\x00" + given.body(),
    "two at once": given.body() + given.body(),
    "more after it": given.body() + b"//",
    "a comment": b"/* */" + given.body(),
    "single quotes": given.body().replace(b'"', b"'"),
    "a name twice, the last one wrong": instances('7,"hour":99'),
    "rows twice, the last ones wrong": given.body()[:-1] + b',"instances":[]}',
    "an empty key": given.body(key=""),
    "a long key": given.body(key="k" * 257),
    "a prototype": given.body(row(__proto__={"hour": 7})),
    "a class": given.body(row(__class__="x")),
    "a reference": b'{"$ref":"file:///etc/passwd"}',
    "a tagged object": b'{"py/object":"os.system","py/reduce":[]}',
    "rows in columns": b'{"instances":{"hour":[7]}}',
    "nothing": b"",
    "null": b"null",
}
