import torch
from torch.cuda.amp import GradScaler


class CheckedScaler(GradScaler):
    """GradScaler() that raises on a vanishing scale."""

    def update(self, new_scale=None):
        super().update(new_scale)
        if self.get_scale() < 1.0:
            raise RuntimeError("the loss scale has vanished")
