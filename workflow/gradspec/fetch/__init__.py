"""Getting public data sets: the only part of gradspec that uses the network, and only when it is asked to."""
