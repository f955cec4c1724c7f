"""Group differences of spectral features, and how well the networks tell the groups apart."""
