"""Programs for maintainers: audit the dependencies, make the artefacts, check a release."""
