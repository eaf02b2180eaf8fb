import torch
import torch.nn as nn
import torch.nn.functional as F


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.verb = nn.Linear(32, 5)
        self.noun = nn.Linear(32, 7)

    def forward(self, hidden):
        verb_logits = self.verb(hidden)
        verb = F.softmax(verb_logits, dim=-1)
        noun_logits = self.noun(hidden)
        noun = F.softmax(noun_logits, dim=-1)
        return verb, noun, F.log_softmax(verb_logits, dim=-1), F.log_softmax(noun_logits, dim=-1)
