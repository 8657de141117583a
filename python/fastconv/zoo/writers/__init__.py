"""One module a format that networks are written in."""
