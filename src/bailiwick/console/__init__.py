"""Server-rendered pages for people, and the API the CLI uses."""
