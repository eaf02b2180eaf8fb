from dataclasses import dataclass

import torch
from accelerate import Accelerator
from transformers import TrainingArguments


@dataclass
class DistillationConfig(TrainingArguments):
    temperature: float = 2.0


class DistillationTrainer:
    def __init__(self, args: DistillationConfig, student, teacher, dataloader):
        self.args = args
        self.accelerator = Accelerator(gradient_accumulation_steps=args.gradient_accumulation_steps)
        optimizer = torch.optim.AdamW(student.parameters(), lr=args.learning_rate)
        self.student, self.optimizer, self.dataloader = self.accelerator.prepare(student, optimizer, dataloader)
        self.teacher = teacher.eval()

    def train(self):
        for batch in self.dataloader:
            with self.accelerator.accumulate(self.student):
                with torch.no_grad():
                    target = (self.teacher(**batch).logits / self.args.temperature).log_softmax(-1)
                logits = (self.student(**batch).logits / self.args.temperature).log_softmax(-1)
                loss = torch.nn.functional.kl_div(logits, target, reduction="batchmean", log_target=True)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients and self.args.max_grad_norm > 0:
                    self.accelerator.clip_grad_norm_(self.student.parameters(), self.args.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
