from pathlib import Path

import pytest

from infra.cluster import free_port

GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not GIVEN.exists(), reason="only Linux says which ports it gives away")
def test_nobody_who_asks_for_any_port_is_given_the_one_that_was_found_free() -> None:
    low, high = map(int, GIVEN.read_text().split())
    found = {free_port() for _ in range(30)}
    assert len(found) > 1
    assert not [port for port in found if low <= port <= high or 10_002 <= port <= 19_999]
