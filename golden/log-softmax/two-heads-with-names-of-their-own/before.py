import torch
import torch.nn as nn
import torch.nn.functional as F


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.verb = nn.Linear(32, 5)
        self.noun = nn.Linear(32, 7)

    def forward(self, hidden):
        verb = F.softmax(self.verb(hidden), dim=-1)
        noun = F.softmax(self.noun(hidden), dim=-1)
        return verb, noun, torch.log(verb), torch.log(noun)
