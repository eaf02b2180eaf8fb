import torch


class TextToSpeech(torch.nn.Module):
    def forward(self, tokens, labels=None):
        if labels is not None:
            raise NotImplementedError("Training this model is not supported.")
        mean, log_std = self.encoder(tokens).chunk(2, dim=-1)
        return self.decoder(mean + torch.randn_like(mean) * torch.exp(log_std))
