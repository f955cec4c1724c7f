"""Cohort: data that is simulated or indexed, the participants it belongs to, and the checks both must pass."""
