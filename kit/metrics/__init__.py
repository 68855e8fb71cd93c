"""Metrics: a file each, holding the formula and nothing else.

`score(truth, predicted)` gets aligned arrays of whole folds. What they hold is what the metric says it `needs`:

label        the answers themselves: 0 and 1 for a binary task (1 is positive), integers where all classes are whole numbers, else text;
             for a multilabel task an (n, labels) 0/1 matrix
probability  truth as class positions 0..c-1 (binary: 0/1), predicted as (n,) for binary, (n, c) for multiclass;
             multilabel: truth as (n, labels) 0/1, predicted as (n, labels)
ranking      truth as (n,) answers, predicted as n lists of answers, best first
confidence   truth as (n,) text, true classes separated by spaces ("" is none); predicted as n pairs of class and confidence, or None
             where nothing is said; rows in the order of their ids
neighbours   truth as n sets of relevant ids (an empty one: the query does not count), predicted as n lists of ids, best first
boxes        truth and predicted as n kit.found.Found with boxes, of the same pictures; predicted ones in any order
masks        likewise with masks, and the clip of each picture on the side of the truth
groups       truth as n events' particles and weights by hit, predicted as n events' groups by hit
value        two (n,) float arrays, or (n, targets) for several targets

A metric that fits several tasks names several, `needs = ("probability", "value")`: the task gives the first one that it can.

The caller has checked what holds for every metric: at least one row, as many on both sides, no NaN, weights above 0 (it leaves out
rows of weight 0). A metric that takes row weights has `weights=None` as its third positional parameter; what a config may set is
keyword-only. Besides `needs`, `greater_is_better` and `EXAMPLE` a module may hold `loss` (the training loss that fits it), `space`
("log1p" or "log": where its errors are measured, so targets are transformed and folds averaged there), `blend_space` ("rank" or "logit":
where runs are combined if weights are found for them, for a metric that rewards order alone, or log-odds) and `threshold` (the
probability at which a positive label is right by theory; without it one is fitted on out-of-fold rows). Where an option decides
them, the functions `greater_is_better_for(*, option=…)`, `space_for(*, option=…)` and `blend_space_for(*, option=…)` take the options
of `score` and come before the plain values, which are those of the default options.

A score that is not defined raises ScoreError. A constant truth leaves nothing to score, so correlations, AUC, Gini and R² are not
defined there; a constant prediction is merely a poor one and scores as chance does: 0, or 0.5 for AUC.
"""
