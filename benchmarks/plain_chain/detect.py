"""The detect step of the plain chain: YOLOX-Nano by cv2.dnn for objects, facenet-pytorch's MTCNN for faces."""

import os
from typing import Any

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN

from benchmarks.plain_chain.common import Bucket, Image, Message

SIDE = 416
MIN_SCORE = 0.3
MAX_OVERLAP = 0.45
MIN_FACE = 40
MAX_FACE_SIDE = 1280

LABELS = (  # noqa: SIM905
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")


def _grid() -> tuple[Image, Image]:
    """For each of YOLOX's 3549 outputs, the cell it belongs to and its stride."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        count = SIDE // stride
        xs, ys = np.meshgrid(np.arange(count), np.arange(count))
        cells.append(np.stack([xs, ys], axis=2).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


class PlainDetector:
    """Both models, loaded once."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.yolox = cv2.dnn.readNetFromONNX(os.environ["YOLOX_PATH"])
        self.cells, self.strides = _grid()
        self.mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE)

    def __call__(self, message: Message, bucket: Bucket) -> Message:
        """Objects on the grey picture, faces on the original; both in pixels of the original."""
        grey = bucket.get_image(message["path"])
        original = bucket.get_image(message["original_path"])
        detections = self.objects(grey, message["origin_w"] / grey.shape[1], message["origin_h"] / grey.shape[0])
        faces = self.faces(original)
        found = {"detections": detections, "faces": faces}
        bucket.put_json(f"detections/{message['image_id']}.json", found)
        return {**message, **found}

    def objects(self, image: Image, scale_x: float, scale_y: float) -> list[dict[str, Any]]:
        """Return the objects of YOLOX-Nano."""
        height, width = image.shape[:2]
        ratio = SIDE / max(height, width)
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        fitted = cv2.resize(image, (max(1, round(width * ratio)), max(1, round(height * ratio))))
        canvas[: fitted.shape[0], : fitted.shape[1]] = fitted
        self.yolox.setInput(cv2.dnn.blobFromImage(canvas))
        output = self.yolox.forward()[0]

        scores = output[:, 4:5] * output[:, 5:]
        labels = scores.argmax(axis=1)
        best = scores.max(axis=1)
        keep = best > MIN_SCORE
        output, labels, best = output[keep], labels[keep], best[keep]
        centre = (output[:, :2] + self.cells[keep]) * self.strides[keep] / ratio
        size = np.exp(output[:, 2:4]) * self.strides[keep] / ratio
        corner = centre - size / 2
        rectangles = np.hstack([corner, size]).tolist()
        chosen = cv2.dnn.NMSBoxesBatched(rectangles, best.tolist(), labels.tolist(), MIN_SCORE, MAX_OVERLAP)
        boxes = np.hstack([corner, corner + size]).astype(float).clip(0, (width, height, width, height))
        boxes *= (scale_x, scale_y, scale_x, scale_y)
        return [
            {"label": LABELS[labels[i]], "score": round(float(best[i]), 4), "box": boxes[i].round(1).tolist()}
            for i in chosen
        ]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def faces(self, image: Image) -> list[dict[str, Any]]:
        """Return the faces of MTCNN, on the picture shrunk to at most 1280 pixels."""
        scale = min(1.0, MAX_FACE_SIDE / max(image.shape[:2]))
        if min(image.shape[:2]) * scale < MIN_FACE:
            return []  # facenet-pytorch fails on pictures smaller than the smallest face
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes, scores, points = self.mtcnn.detect(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), landmarks=True)
        if boxes is None:
            return []
        return [
            {
                "score": round(float(score), 4),
                "box": (box.astype(float) / scale).round(1).tolist(),
                "landmarks": (marks.astype(float) / scale).round(1).tolist(),
            }
            for box, score, marks in zip(boxes, scores, points, strict=True)
        ]
