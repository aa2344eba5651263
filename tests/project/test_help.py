"""Every command says to --help what it does, and ends with an example that works."""

import argparse
import re
import runpy
import shlex
import sys
from collections.abc import Iterator

import pytest

from cli import main as cli
from local.template import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for folder in ("local", "benchmarks", "tests/mutation")
    for path in (ROOT / folder).rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text()
)
MAKEFILE = (ROOT / "Makefile").read_text()
EXAMPLE = re.compile(r"Example: (.+)")
SENTENCE = re.compile(r"[A-Z].*\w.*[.?]")


def recipe(target: str) -> str:
    """Return a target of the Makefile with its recipe; "" where there is none."""
    return "".join(re.findall(rf"(?m)^{target}:.*\n(?:\t.*\n)*", MAKEFILE))


def parsers(
    parser: argparse.ArgumentParser, *, name: str = "evergreen"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield a parser and all parsers of commands within it, by their words."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, found in action.choices.items():
                yield from parsers(found, name=f"{name} {word}")


COMMANDS = dict(parsers(cli.parser()))


def test_every_module_that_make_runs_is_among_the_commands() -> None:
    run = {name for name in re.findall(r"\$\(RUN\) -m ([\w.]+)", MAKEFILE) if name != "pytest"}

    assert run == set(MODULES)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_does_and_how_make_runs_it(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.setenv("COLUMNS", "1000")  # no line is broken

    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")

    said = capsys.readouterr().out
    assert end.value.code == 0
    assert said.startswith(f"usage: python -m {module} ")
    assert SENTENCE.search(said.partition("\n\n")[2].partition("\n\n")[0])
    (example,) = EXAMPLE.findall(said)
    make, target, *variables = example.split()
    assert make == "make"
    assert f"-m {module}" in recipe(target)
    for variable in variables:
        assert f"$({variable.partition('=')[0]})" in recipe(target)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_evergreen_says_what_it_does_with_an_example_that_it_understands(
    name: str,
) -> None:
    parser = COMMANDS[name]

    assert parser.description
    assert SENTENCE.match(parser.description)
    (example,) = EXAMPLE.findall(parser.epilog or "")
    program, *words = shlex.split(example)
    assert program == "evergreen"
    assert example.startswith(name)
    assert cli.parser().parse_args(words).command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(name: str) -> None:
    for action in COMMANDS[name]._actions:
        if action.option_strings:
            assert action.help, f"{name} {action.option_strings}"
