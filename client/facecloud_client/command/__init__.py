"""The `facecloud` command: its arguments, its subcommands, and what it prints and draws."""
