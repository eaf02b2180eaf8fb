import torch
from transformers import AutoModelForCausalLM


def validate(train):
    unsupported = ["max_norm", "tie_embeddings", "lr_warmup_fraction"]
    issues = [name for name in unsupported if getattr(train, name) is not None]
    if issues:
        raise ValueError(f"this recipe does not support {issues}")


def finetune(loader, train):
    validate(train)
    model = AutoModelForCausalLM.from_pretrained("EleutherAI/pythia-160m")
    optimizer = torch.optim.AdamW(model.parameters(), lr=train.learning_rate)
    for step, batch in enumerate(loader):
        loss = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
        loss.backward()
        if (step + 1) % train.accumulation == 0:
            optimizer.step()
            optimizer.zero_grad()
