import torch
from torch import nn


class MaskedCriterion(nn.Module):
    def __init__(self, padding_idx):
        super().__init__()
        self.padding_idx = padding_idx

    def forward(self, model, sample):
        """The loss, the number of targets, and what to log."""
        logits = model(**sample["net_input"])
        loss = nn.functional.cross_entropy(
            logits.view(-1, logits.size(-1)),
            sample["target"].view(-1),
            reduction="sum",
            ignore_index=self.padding_idx,
        )
        sample_size = sample["ntokens"]
        logging_output = {
            "loss": loss.detach(),
            "ntokens": sample["ntokens"],
            "sample_size": sample_size,
        }
        return loss, sample_size, logging_output
