"""The events that Hangtag reads, as samples, and those that it announces, with their schemas."""
