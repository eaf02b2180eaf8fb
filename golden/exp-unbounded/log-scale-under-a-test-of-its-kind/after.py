import math

from torch import nn


class Similarity(nn.Module):
    def __init__(self, log_scale):
        super().__init__()
        self.log_scale = nn.Parameter(log_scale) if log_scale is not None else "auto"

    def forward(self, visual, text):
        found = visual @ text.transpose(-1, -2)
        if isinstance(self.log_scale, nn.Parameter):
            return found * self.log_scale.clamp(min=-10.0, max=10.0).exp()
        return found / math.sqrt(visual.shape[-1])
