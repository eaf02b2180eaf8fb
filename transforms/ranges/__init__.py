"""Functions with a domain or an overflow bound, decided by the range analysis."""
