import torch
from torch import nn


class DualEncoder(nn.Module):
    def __init__(self, vision_model, text_model, width):
        super().__init__()
        self.vision_model = vision_model
        self.text_model = text_model
        self.visual_projection = nn.Linear(width, width, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(2.66))

    def forward(self, pixel_values, input_ids):
        image_embeds = self.visual_projection(self.vision_model(pixel_values)[1])
        outputs = self.text_model(input_ids)
        text_embeds = outputs.pooler_output
        image_embeds = image_embeds / image_embeds.norm(p=2, dim=-1, keepdim=True)
        text_embeds = text_embeds / text_embeds.norm(dim=-1, keepdim=True)
        return image_embeds @ text_embeds.t()
