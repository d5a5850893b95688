"""Prints random specs by their numbers: `python -m tests.contracts.random_specs 7`."""

import sys

from tests.contracts.random_specs import random_spec

for argument in sys.argv[1:]:
    print(random_spec(int(argument)))
