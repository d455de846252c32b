"""`python at_another_time.py SECONDS COMMAND...`: the program as on a machine whose clock is so far ahead.

What is patched is what Python code reads as the time of day. OpenSSL judges the certificates of TLS by the machine's
own clock all the same.
"""

import sys
import time
from collections.abc import Callable

REAL = time.time


def shifted(seconds: float) -> Callable[[], float]:
    """The time of day of a clock that is so far ahead of the machine's."""
    return lambda: REAL() + seconds


if __name__ == "__main__":
    time.time = shifted(float(sys.argv[1]))
    from kubecustody.cli.main import main  # it remembers the clock as it finds it

    sys.argv = ["kubecustody", *sys.argv[2:]]
    main()
