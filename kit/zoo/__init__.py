"""The zoo: networks, a file each, and the Lightning module that trains them.

A network is `Network(inputs, *, options)` with `forward(batch)` giving (n, outputs), or (n, members, outputs) for an ensemble within.
Estimators and networks share one namespace: `model.name` is one word.
"""
