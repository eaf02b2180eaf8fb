import torch
from transformers import TrainingArguments


def fit(model, loader, arguments: TrainingArguments):
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.learning_rate)
    steps = arguments.max_steps
    arguments = vars(arguments)
    for step, batch in enumerate(loader):
        loss = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % arguments["logging_steps"] == 0:
            print(step, loss.item())
        if step >= steps:
            break
