"""The classify step of the plain chain: ResNet18 for CIFAR-10 by torch, on the picture and on each object.

With random weights, which cost the same to compute.
"""

import cv2
import numpy as np
import torch
from torchvision.models import resnet18

from benchmarks.plain_chain.common import Bucket, Image, Message
from benchmarks.plain_chain.steps import pixels

SIDE = 32
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class PlainClassifier:
    """The model, loaded once."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.network = resnet18(num_classes=len(LABELS))
        self.network.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        self.network.maxpool = torch.nn.Identity()
        self.network.eval()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def __call__(self, message: Message, bucket: Bucket) -> Message:
        """Classify the original and the detected objects."""
        image = bucket.get_image(message["original_path"])
        boxes = [pixels(found["box"], image) for found in message["detections"]]
        crops = [image, *(image[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes if x1 < x2 and y1 < y2)]
        confidences, classes = torch.softmax(self.network(self._batch(crops)), dim=1).max(dim=1)
        categories = [
            {"category": LABELS[label], "confidence": round(confidence, 4)}
            for label, confidence in zip(classes.tolist(), confidences.tolist(), strict=True)
        ]
        bucket.put_json(f"findings/{message['image_id']}.json", categories)
        return {**message, "categories": categories, "kind": "face" if message["faces"] else "object"}

    def _batch(self, crops: list[Image]) -> torch.Tensor:
        small = [cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for crop in crops]
        return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
