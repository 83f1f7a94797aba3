"""The work of operators: look at failures, replay, discard, restore; backfill; pause and resume."""
