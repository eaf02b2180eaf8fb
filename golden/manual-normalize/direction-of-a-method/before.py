from torch import nn


class Steering(nn.Module):
    def offset(self, position, target):
        return target - position

    def forward(self, position, target):
        offset = self.offset(position, target)
        return offset / offset.norm(dim=-1, keepdim=True)
