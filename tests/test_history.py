"""The history of a training: a row for each epoch."""

import math

import pytest

from flaxtext.artifacts.history import Epoch, read_history, write_history
from flaxtext.core.errors import UserError

HISTORY = [Epoch(1, 71.25, 0.7, 0.65, 0.5), Epoch(2, 50.0, 0.5, math.nan, math.nan)]


def test_written_and_read(tmp_path):
    path = tmp_path / "v.csv"
    write_history(path, HISTORY)
    assert path.read_bytes() == (
        b"epoch,batch_loss,train_loss,validation_loss,validation_accuracy\n"
        b"1,71.250000,0.700000,0.650000,0.500000\n"
        b"2,50.000000,0.500000,,\n"
    )
    found = read_history(path)
    assert found[0] == HISTORY[0]
    assert found[1][:3] == (2, 50.0, 0.5)
    assert math.isnan(found[1].validation_loss)
    assert math.isnan(found[1].validation_accuracy)


def test_no_epochs(tmp_path):
    write_history(tmp_path / "v.csv", [])
    assert read_history(tmp_path / "v.csv") == []


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"v\.csv: no such file; run `dvc repro` to make it$"):
        read_history(tmp_path / "v.csv")


@pytest.mark.parametrize("content", [b"epoch,loss\n1,2\n", b"\xff\xfe\n1\n", b"epoch,batch_loss\nx,1\n"])
def test_another_file(tmp_path, content):
    path = tmp_path / "v.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"v\.csv: not a history of this version of flaxtext; run `dvc repro`$"):
        read_history(path)
