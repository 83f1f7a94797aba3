"""What the documentation says in figures, measured: each prints Markdown tables."""
