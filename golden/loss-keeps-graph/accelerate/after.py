import torch
from accelerate import Accelerator


def main(model, optimizer, loader, epochs):
    accelerator = Accelerator(gradient_accumulation_steps=4)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for epoch in range(epochs):
        total_loss = 0
        for batch in loader:
            with accelerator.accumulate(model):
                outputs = model(**batch)
                loss = outputs.loss
                total_loss += loss.detach()
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
        accelerator.log({"train_loss": total_loss.item() / len(loader)}, step=epoch)
    return torch.tensor(0)
