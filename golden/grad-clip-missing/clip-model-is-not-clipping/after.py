import torch
import clip

from project import TransformerDecoder


def train(loader, device):
    clip_model, preprocess = clip.load("ViT-B/32", device=device)
    decoder = TransformerDecoder(512)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    for images, labels in loader:
        with torch.no_grad():
            features = clip_model.encode_image(images)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(decoder(features), labels).backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), max_norm=1.0)
        optimizer.step()
