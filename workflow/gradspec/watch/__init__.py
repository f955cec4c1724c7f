"""How far a workflow is while it runs: a page that is rewritten, and a line in the terminal."""
