import torch
from transformers import Trainer, TrainingArguments


class WeightedTrainer(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        loss = torch.nn.functional.cross_entropy(model(**inputs).logits, inputs["labels"])
        return loss


def main(model, dataset):
    WeightedTrainer(model, TrainingArguments("out"), train_dataset=dataset).train()
