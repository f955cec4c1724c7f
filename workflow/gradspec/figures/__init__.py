"""Figures: one module a picture, each with a function that makes its table and one that draws that table."""
