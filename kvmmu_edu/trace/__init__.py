"""What the engine tells: events, statistics as folds over them, and who keeps them."""
