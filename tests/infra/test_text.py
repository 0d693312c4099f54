"""Text for people and names of files, whatever characters they hold."""

import hashlib

from infra.text import as_utf8, digest, hashed, one_line, printable, without_credentials


def test_what_is_no_character_is_shown() -> None:
    assert printable("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\udcff"
    assert as_utf8("a\udcffé") == "a\\udcffé"
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert one_line("abc def", 5) == "abc d"


def test_a_hash_is_that_of_the_bytes_and_of_where_parts_end() -> None:
    assert digest("a", "b") == hashlib.sha256(b"a\0b").digest()
    assert digest("\udcff") == hashlib.sha256(b"\xff").digest()
    text = b"3\0burst\0v#0@1"
    assert hashed(3, "v#0@1", "burst") == int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def test_credentials_are_struck_out() -> None:
    said = "cannot connect to https://key:secret@host/bucket"
    assert without_credentials(said) == "cannot connect to https://host/bucket"
