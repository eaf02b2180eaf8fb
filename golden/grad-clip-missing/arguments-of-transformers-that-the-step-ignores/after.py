from dataclasses import dataclass

import torch
from accelerate import Accelerator
from transformers import TrainingArguments


@dataclass
class RolloutConfig(TrainingArguments):
    num_epochs: int = 4
    temperature: float = 0.7


class RolloutTrainer:
    def __init__(self, config: RolloutConfig, policy, dataloader):
        self.args = config
        self.accelerator = Accelerator(gradient_accumulation_steps=config.gradient_accumulation_steps)
        optimizer = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate)
        self.model, self.optimizer, self.dataloader = self.accelerator.prepare(policy, optimizer, dataloader)

    def train(self):
        args, accelerator, model = self.args, self.accelerator, self.model
        for _ in range(self.args.num_epochs):
            for batch in self.dataloader:
                with accelerator.accumulate(model):
                    output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
                    logits = output.logits / self.args.temperature
                    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
                    accelerator.backward(loss)
                    if accelerator.sync_gradients and self.args.max_grad_norm > 0:
                        accelerator.clip_grad_norm_(
                            model.parameters(), max_norm=self.args.max_grad_norm
                        )
                    self.optimizer.step()
                    self.optimizer.zero_grad()
