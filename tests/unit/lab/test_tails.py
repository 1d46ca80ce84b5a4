"""Files of other processes are read as they grow, whole lines at a time."""

from pathlib import Path

from lab.embedded.tails import Tail


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    tail = Tail(file)
    assert tail.new_lines() == []
    file.write_text("one\ntw")
    assert tail.new_lines() == ["one"]
    assert tail.new_lines() == []
    file.write_text("one\ntwo\nthree\n")
    assert tail.new_lines() == ["two", "three"]


def test_a_file_that_began_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "log"
    tail = Tail(file)
    file.write_text("a long first line\n")
    assert tail.new_lines() == ["a long first line"]
    file.write_text("new\n")
    assert tail.new_lines() == ["new"]
