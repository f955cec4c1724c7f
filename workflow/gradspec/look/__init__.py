"""A look at the cohort before a run: one page and one table of who would be used, and what would be trained."""
