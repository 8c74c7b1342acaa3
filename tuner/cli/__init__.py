"""The command line: what a person types. Only this room prints, and only it knows typer."""
