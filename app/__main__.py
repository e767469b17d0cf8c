"""`lathe` and `python -P -m app`: the network is shut before anything else is imported."""

import sys


def main() -> int:
    """Run the command line; the exit status is that of `app.cli.main`."""
    from app.jobs import offline

    offline.install(False)
    from app import cli

    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
