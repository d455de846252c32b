"""How the generated pages are made: Markdown for the repository, HTML for the server."""
