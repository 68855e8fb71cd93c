"""Tasks: what is asked. A task owns the target's encoding, the columns of a prediction, how folds are averaged and what a cell holds."""
