import torch

from project import CaptionTransformer, captions


class Trainer:
    def __init__(self, width):
        self.model = CaptionTransformer(width)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)

    def step(self, input_ids, labels, *, smoothing):
        self.optimizer.zero_grad()
        logits = self.model(input_ids).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, labels.flatten(), label_smoothing=smoothing)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def fit(self, tokenizer):
        for batch in captions(tokenizer):
            self.step(batch["input_ids"], labels=batch["labels"], smoothing=0.1)
