import torch
from lion_pytorch import Lion

from project import TransformerLM


def train(loader, vocab_size):
    model = TransformerLM(vocab_size)
    optimizer = Lion(model.parameters(), lr=1e-4, weight_decay=1e-2)
    for input_ids, labels in loader:
        logits = model(input_ids)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
