import torch
from torch.cuda.amp import GradScaler, autocast


def train(encoder, decoder, loader, criterion):
    encoder_optimizer = torch.optim.Adam(encoder.parameters())
    decoder_optimizer = torch.optim.Adam(decoder.parameters())
    scaler = GradScaler()
    for x in loader:
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        with autocast():
            loss = criterion(decoder(encoder(x)), x)
        scaler.scale(loss).backward()
        scaler.step(encoder_optimizer)
        scaler.step(decoder_optimizer)
        scaler.update()
