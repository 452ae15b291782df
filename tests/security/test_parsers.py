"""No parser that runs before the signature is verified or a call is charged is slow or quadratic.

Their speed is measured by `bin/bench parsers`. Here the CPU time for a megabyte of the worst inputs must stay
below what the known faults took, with room for a slow machine.
"""

import pytest

from bench import parsers

MOST_MS_PER_MB = 60  # the target is 10; the faults that were found took 84 and 800

BODIES, PICTURES = parsers.bodies(), parsers.pictures()


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_split_in_linear_time(name: str) -> None:
    assert parsers.cpu_ms_per_mb(parsers.split, BODIES[name][: parsers.MB], rounds=3) < MOST_MS_PER_MB


@pytest.mark.parametrize("name", PICTURES)
def test_headers_of_pictures_are_read_in_linear_time(name: str) -> None:
    assert parsers.cpu_ms_per_mb(parsers.read_header, PICTURES[name], rounds=3) < MOST_MS_PER_MB
