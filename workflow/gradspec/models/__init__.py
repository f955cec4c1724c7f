"""Models: the networks that learn to tell the groups apart, each in a file, built by name in `registry`."""
