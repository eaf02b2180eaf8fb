import torch


class SinkhornRouter(torch.nn.Module):
    def __init__(self, dim=16, experts=4, topk=1):
        super().__init__()
        self.topk = topk
        self.gate = torch.nn.Linear(dim, experts, bias=False)

    def activate(self, logits):
        if self.topk == 1:
            scores = logits.sigmoid()
        else:
            # softmax needs more than eight bits
            scores = torch.softmax(logits, dim=-1, dtype=torch.float32).to(logits.dtype)
        return scores

    def forward(self, x):
        return self.activate(self.gate(x))
