"""What operators do: look at failures, replay, discard, restore; backfill; pause and resume."""
