"""Hangtag's tests: unit, contract, template, stack."""
