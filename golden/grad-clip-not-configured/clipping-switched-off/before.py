import torch
from transformers import Trainer, TrainingArguments


def run(model, data):
    args = TrainingArguments(output_dir="out", learning_rate=5e-5, fp16=torch.cuda.is_available(), max_grad_norm=0.0)
    Trainer(model=model, args=args, train_dataset=data).train()
