"""A starter kit for Kaggle-style competitions: from a competition's files to a valid, honestly scored submission."""

__version__ = "0.1.0"
