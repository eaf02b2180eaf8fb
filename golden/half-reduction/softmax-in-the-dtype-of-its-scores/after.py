import torch
import torch.nn.functional as F


def attention_with_sink(module, query, key, value, scaling, dropout=0.0):
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    sinks = module.sinks.reshape(1, -1, 1, 1).expand(query.shape[0], -1, query.shape[-2], -1)
    combined = torch.cat([scores, sinks.to(scores.dtype)], dim=-1)
    probs = F.softmax(combined, dim=-1, dtype=torch.float32).to(combined.dtype)[..., :-1]
    probs = F.dropout(probs, p=dropout, training=module.training).to(value.dtype)
    return torch.matmul(probs, value)
