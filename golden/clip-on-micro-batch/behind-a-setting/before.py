import torch
from torch.nn.utils import clip_grad_norm_


class Trainer:
    def __init__(self, model, args):
        self.model = model
        self.args = args
        self.optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)

    def train_epoch(self, loader):
        for step, batch in enumerate(loader):
            is_complete = (step + 1) % self.args.accumulation_steps == 0
            loss = self.model(**batch).loss / self.args.accumulation_steps
            loss.backward()
            if self.args.max_grad_norm > 0:
                clip_grad_norm_(self.model.parameters(), self.args.max_grad_norm)
            if is_complete:
                self.optimizer.step()
                self.optimizer.zero_grad()
