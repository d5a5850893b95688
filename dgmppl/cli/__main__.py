"""`python -m dgmppl.cli`: the command line."""

import sys

from dgmppl.cli import main

sys.exit(main())
