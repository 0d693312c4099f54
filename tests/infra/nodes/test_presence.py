"""A cluster that is not there is refused before Ray waits for it."""

import os
import socket

import pytest

from infra.errors import SettingsError
from infra.nodes.presence import refuse_dead, without_lines_of_the_core


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:{port}", "nothing answers there"),
        ("no.such.host.invalid:6379", "the host no.such.host.invalid is not known"),
        ("nowhere", "Invalid address format"),
        ("ray://127.0.0.1:10001", "give host:port"),
    ],
)
def test_one_line_says_why(address: str, said: str) -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        address = address.format(port=bound.getsockname()[1])
        with pytest.raises(SettingsError, match=said) as error:
            refuse_dead(address)
    assert str(error.value).startswith(f"cluster.address {address}: ")
    assert "\n" not in str(error.value)


def test_lines_of_the_core_are_kept_off_and_all_others_come(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(OSError, match="later"), without_lines_of_the_core():
        os.write(2, b"[2026-11-28 22:02:25,465 I 30722 30722] logging.cc:303: Set ray log level\n")
        os.write(
            2, b"[2026-11-28 21:57:38,457 W 20079 20079] rpc_client.h:153: Failed to connect\n"
        )
        os.write(2, b"[2026-11-28 21:57:38,457 F 20079 20079] core.cc:1: Check failed\n")
        os.write(2, b"[preprocess] said\n")
        raise OSError("later")
    os.write(2, b"after\n")
    shown = capfd.readouterr().err.splitlines()
    assert shown == [
        "[2026-11-28 21:57:38,457 F 20079 20079] core.cc:1: Check failed",
        "[preprocess] said",
        "after",
    ]
