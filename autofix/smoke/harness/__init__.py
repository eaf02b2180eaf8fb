"""What runs under the project's interpreter: the standard library and torch, nothing of autofix.

The client starts `python -c <bootstrap> <this folder>`, which loads this folder as the package `autofix_harness`
(so no folder of autofix and none of the user's project is on `sys.path`) and calls `__main__.main`. Each kind of job
is a module here with

    run(spec: dict, deadline: float) -> dict

where `deadline` is a value of `time.monotonic()` by which it should return of its own accord (the parent kills
the child a little later). The result holds "verdict" ("PROVED", "CONSISTENT", "REFUTED", "INCONCLUSIVE"), "claims"
(a list of {"name", "held", "detail"}), "witness", "witness_summary", "reason", "assumptions", "exact" and "change";
all but the verdict may be missing. Code here runs on Python 3.9 and newer.
"""
