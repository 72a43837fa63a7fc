"""`python -m bailiwick.cli`, for those who do not have the script on their path."""

from bailiwick.cli.main import main

main()
