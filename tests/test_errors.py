"""What the user can fix ends in one line."""

import subprocess
import sys

import pytest

from flaxtext.core import errors
from flaxtext.core.errors import UserError


@pytest.mark.parametrize(
    "error", [UserError("a.csv: empty"), FileNotFoundError(2, "No such file", "a.csv"), OSError("disk")]
)
def test_a_mistake_and_what_the_system_refuses_are_one_line(capsys, error):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        errors.run(main)
    printed = capsys.readouterr().err
    assert ended.value.code == 1
    assert printed in ("error: a.csv: empty\n", "error: a.csv: no such file\n", "error: disk\n")


def test_of_several_problems_each_is_a_line(capsys):
    def main():
        raise UserError("p.yaml: train.a\x1b: unknown key", "p.yaml: check: missing")

    with pytest.raises(SystemExit):
        errors.run(main)
    assert capsys.readouterr().err == "error: p.yaml: train.a\\x1b: unknown key\np.yaml: check: missing\n"


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("a\nb.csv: empty", "a\\nb.csv: empty"),
        ("no column '\x1b]0;x\x07'", "no column '\\x1b]0;x\\x07'"),
        ("a\u2028b", "a\\u2028b"),
        ("é 漢字 🦊", "é 漢字 🦊"),
    ],
)
def test_a_message_is_one_line_that_commands_no_terminal(capsys, message, printed):
    def main():
        raise UserError(message)

    with pytest.raises(SystemExit):
        errors.run(main)
    assert capsys.readouterr().err == f"error: {printed}\n"


def test_a_mistake_of_ours_keeps_its_traceback():
    def main():
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        errors.run(main)


def test_output_that_nobody_reads_any_more_is_no_mistake():
    script = "from flaxtext.core import errors; errors.run(lambda: print('words ' * 100_000))"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # as `head` does once it has read enough
        assert process.stderr.read() == b""
    assert process.returncode == 0
