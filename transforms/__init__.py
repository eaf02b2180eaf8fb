"""The rules, one per file, grouped as the documentation groups them."""

if __name__ != "autofix.transforms":
    # A project's own top-level `transforms` must never be confused with this package.
    raise ImportError("these are autofix's rules: import them as `autofix.transforms`")
