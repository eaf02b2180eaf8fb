import torch


class SpeechClassifier(torch.nn.Module):
    def frame_mask(self, length, attention_mask):
        last = self.output_lengths(attention_mask.cumsum(-1)[:, -1]) - 1
        mask = torch.zeros(attention_mask.shape[0], length, device=attention_mask.device)
        mask[torch.arange(mask.shape[0], device=mask.device), last] = 1
        return mask.flip([-1]).cumsum(-1).flip([-1]).bool()

    def forward(self, features, attention_mask):
        hidden = self.encoder(features)
        mask = self.frame_mask(hidden.shape[1], attention_mask)
        hidden = hidden * mask.unsqueeze(-1)
        return self.head(hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True))
