"""Losses: what training minimises, a file each, one class in it.

`forward(logits, target)` gives a loss for each row, so that rows can be weighed outside; `predict(logits)` is the link that turns them
into what the task decodes; `tasks` names what it fits, and `unit` how a numeric target is scaled in training.
"""
