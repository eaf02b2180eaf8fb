import torch
from transformers import Trainer, TrainingArguments


def run(model, data, bound):
    args = TrainingArguments(output_dir="out", learning_rate=5e-5, bf16=torch.cuda.is_available())
    Trainer(model=model, args=args, train_dataset=data).train()
    args = TrainingArguments(output_dir="out", max_grad_norm=bound)
    Trainer(model=model, args=args, train_dataset=data).train()
