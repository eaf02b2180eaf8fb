"""Routing: mixtures of experts and of heads."""
