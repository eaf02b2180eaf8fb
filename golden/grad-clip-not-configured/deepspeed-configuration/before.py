import deepspeed
import torch

DS_CONFIG = {
    "train_batch_size": 64,
    "optimizer": {"type": "AdamW", "params": {"lr": 3e-4}},
    "fp16": {"enabled": True},
    "zero_optimization": {"stage": 2},
}


def train(model, loader):
    engine, optimizer, _, _ = deepspeed.initialize(
        model=model, model_parameters=model.parameters(), config=DS_CONFIG
    )
    for batch in loader:
        loss = engine(batch.to(engine.device, torch.float16)).mean()
        engine.backward(loss)
        engine.step()
