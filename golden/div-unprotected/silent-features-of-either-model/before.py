import torch


def anchors(model, processor, prompts, is_local):
    if is_local:
        features = model.encode_text(prompts).float()
    else:
        features = model.get_text_features(processor(prompts, return_tensors="pt")["input_ids"])
    unit = features / features.norm(p=2, dim=-1, keepdim=True)
    return torch.cat([unit, -unit])
