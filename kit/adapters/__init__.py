"""Adapters turn a competition's raw files into tables, predictions into submission rows, and answers into truth.

One for each data modality; a competition's own adapter.py subclasses one and overrides only what differs.
"""
