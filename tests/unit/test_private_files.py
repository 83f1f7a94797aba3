"""Keys in files of `local/` are readable by their owner only."""

from __future__ import annotations

from pathlib import Path

from local.processes import private_directory, write_private


def mode(path: Path) -> int:
    """The permissions of a file."""
    return path.stat().st_mode & 0o777


def test_a_folder_is_private(tmp_path: Path) -> None:
    """Also one that an earlier version made for everybody."""
    new, old = tmp_path / "a/new", tmp_path / "old"
    old.mkdir(mode=0o755)

    for folder in (new, old):
        private_directory(folder)
        assert mode(folder) == 0o700


def test_a_file_is_private_from_its_creation(tmp_path: Path) -> None:
    """A file that everybody has open is replaced, not written to."""
    file = tmp_path / "key"
    file.write_text("old and long")
    file.chmod(0o644)

    with file.open() as reader:
        write_private(file, "new")
        assert reader.read() == "old and long"
    assert (file.read_text(), mode(file)) == ("new", 0o600)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """The file that it leads to stays as it is."""
    target, file = tmp_path / "target", tmp_path / "key"
    target.write_text("another's")
    file.symlink_to(target)

    write_private(file, "new")

    assert (file.read_text(), target.read_text()) == ("new", "another's")
    assert not file.is_symlink()
