import torch


def centre_distance(boxes, priors):
    return (priors[:, None, :] - boxes[None, :, :]).pow(2).sum(-1).sqrt()


class NearestAssigner:
    def assign(self, boxes, priors, k):
        distances = centre_distance(boxes[:, :2], priors[:, :2])
        near = torch.topk(distances, k, dim=0, largest=False)
        return near.indices, distances
