"""What a shell completes: the commands, and the options of each."""

import argparse
from collections.abc import Iterator

from rich.console import Console

SCRIPT = """# bash: source <(evergreen completion); zsh: also bashcompinit
_evergreen() {{
  local words="{commands}"
  [ "$COMP_CWORD" -gt 1 ] && case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -o default -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -F _evergreen evergreen"""


def script(parser: argparse.ArgumentParser) -> str:
    """Return what bash sources."""
    known = dict(_commands(parser))
    cases = "\n".join(f'    {name}) words="{" ".join(each)}";;' for name, each in known.items())
    return SCRIPT.format(commands=" ".join(known), cases=cases)


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[str]]]:
    for action in parser._actions:  # argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                more = [option for each in command._actions for option in each.option_strings]
                yield name, [word for word, _ in _commands(command)] + more


def show(out: Console, _: Console, asked: argparse.Namespace) -> bool:
    """Print it."""
    out.print(script(asked.parser()), soft_wrap=True)
    return True
