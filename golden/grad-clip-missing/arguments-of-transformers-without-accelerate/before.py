import torch
from transformers import AutoModelForSequenceClassification, HfArgumentParser, TrainingArguments


def train(args: TrainingArguments, model, loader):
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay)
    scaler = torch.amp.GradScaler("cuda", enabled=args.fp16)
    model.train()
    for _ in range(int(args.num_train_epochs)):
        for batch in loader:
            with torch.autocast("cuda", dtype=torch.float16, enabled=args.fp16):
                loss = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def main(loader):
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()
    train(args, AutoModelForSequenceClassification.from_pretrained("bert-base-cased"), loader)
