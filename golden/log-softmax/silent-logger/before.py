import torch
import torch.nn as nn
import torch.nn.functional as F


class Module(nn.Module):
    def step(self, logits):
        probs = F.softmax(logits, dim=-1)
        self.log("confidence", probs.max())
        self.logger.log(10, probs)
        return probs
