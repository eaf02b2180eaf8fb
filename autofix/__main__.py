"""The command: `autofix`, or `python -m autofix`."""

from __future__ import annotations

import atexit
import gc


def main() -> None:
    """Run the command line.

    What is imported lives as long as the process: the garbage collector would look through it every few hundred
    objects, and once more at the end, for a quarter of the time of a short run.
    """
    gc.set_threshold(200_000, 20, 20)
    atexit.register(gc.freeze)
    from autofix import cli  # with the collector set, not before

    cli.main()


if __name__ == "__main__":
    main()
