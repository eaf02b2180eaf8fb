import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("EleutherAI/gpt-neo-125m")
donor = AutoModelForCausalLM.from_pretrained("EleutherAI/gpt-neo-125m")
embedding = donor.transformer.wte.requires_grad_(False)
lm_head = donor.lm_head.requires_grad_(False)


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


def pretrain(layer, loader):
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-5)
    for tokens in loader:
        logits = lm_head(layer(embedding(tokens[:, :-1])))
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=tokenizer.pad_token_id)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(coding, reasoning):
    pretrain(FeedForward(768, 3072), coding)
    pretrain(FeedForward(768, 3072), reasoning)
