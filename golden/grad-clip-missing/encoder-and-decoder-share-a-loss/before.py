import torch
from torch import nn, optim


def train(pairs, encoder, decoder, criterion):
    encoder_optimizer = optim.SGD(encoder.parameters(), lr=0.1)
    decoder_optimizer = optim.SGD(decoder.parameters(), lr=0.1)
    for source, target in pairs:
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        loss = criterion(decoder(encoder(source)), target)
        loss.backward()
        encoder_optimizer.step()
        decoder_optimizer.step()
