"""How the commands are called, and by which words."""

from common.arguments import Command, CommandLine

PURPOSE = "A laboratory of small transformers. `python main.py COMMAND --help` explains each command."


def command_line() -> CommandLine:
    """Every command, in the order in which they are listed."""
    from commands.data import Audit, Build, Import
    from commands.explore import Explore
    from commands.parts import Part1, Part2, Part3, Report
    from commands.studies import Ablation, Compare, Measure, Settings, Tokenizers
    from commands.trained import Attention, Classify, Explain, Generate, Knockouts, Score

    trained = (Part1, Part2, Part3, Report, Compare, Ablation, Measure, Tokenizers)
    used = (Explore, Classify, Explain, Attention, Knockouts, Score, Generate)
    commands: dict[str, type[Command]] = {one.__name__.lower(): one for one in (*trained, *used, Settings)}
    commands |= {f"data {command.__name__.lower()}": command for command in (Build, Audit, Import)}
    free = ("sentences", "sentence", "prompt", "text")
    return CommandLine("python main.py", PURPOSE, commands, free, {"source": "from", "given": "set", "voice": "as"})


def line(command: Command) -> str:
    """The line that runs a command, as it would be typed."""
    return command_line().written(command)
