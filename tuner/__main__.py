"""`python -m tuner`; the command `tuner` is the documented way in."""

from tuner.cli.main import main

main()
