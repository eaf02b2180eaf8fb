"""Exact identities: a pair of expressions, declared; evidence is generated from the declaration."""
