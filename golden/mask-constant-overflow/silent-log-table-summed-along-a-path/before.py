import torch


class ConditionalRandomField(torch.nn.Module):
    def forward(self, emissions, allowed):
        transitions = self.transitions.masked_fill(~allowed, -10000.0)
        score = emissions[0]
        for emission in emissions[1:]:
            score = torch.logsumexp(score[:, :, None] + transitions, dim=1) + emission
        return torch.logsumexp(score, dim=1)
