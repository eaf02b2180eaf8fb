"""`autofix smoke`: every `nn.Module` class of a file or package is built and trained for a few steps, as it is."""
