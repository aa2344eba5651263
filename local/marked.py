"""Documents of which a part is written by a command, between two markers."""

from pathlib import Path

END = "<!-- end -->"


def begin(command: str) -> str:
    """Return the marker before what a command writes."""
    return f"<!-- written by `{command}`: begin -->"


def rewrite(document: Path, command: str, body: str) -> None:
    """Replace what a command wrote; SystemExit where the document has lost its markers."""
    before, found, rest = document.read_text().partition(begin(command))
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{document} has lost its markers {begin(command)} and {END}")
    document.write_text(f"{before}{found}\n\n{body}\n\n{END}{after}")


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, its first column to the left."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
