import torch

from project import CaptionTransformer, captions, head


def train_one_epoch(model, head, optimizer, loader, device="cuda"):
    model.train()
    for batch in loader:
        optimizer.zero_grad()
        hidden = model(batch["input_ids"].to(device))
        loss = torch.nn.functional.cross_entropy(head(hidden).flatten(0, 1), batch["labels"].flatten().to(device))
        loss.backward()
        optimizer.step()


def main(tokenizer, features, epochs=10):
    model = CaptionTransformer(512)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader = captions(tokenizer)
    for _ in range(epochs):
        train_one_epoch(model, head, tokenizer, features, optimizer, loader)
