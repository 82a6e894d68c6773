"""The light steps of the plain chain: resize, grayscale and tag."""

import cv2

from benchmarks.plain_chain.common import Bucket, Image, Message

MIN_SIDE = 416  # the detector's input: the long side is never shrunk below it


def resize(message: Message, bucket: Bucket) -> Message:
    """Shrink the original to 25 %, but not below what the detector takes."""
    image = bucket.get_image(message["original_path"])
    height, width = image.shape[:2]
    scale = min(1.0, max(0.25, MIN_SIDE / max(height, width)))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    path = f"resized/{message['image_id']}.jpg"
    bucket.put_image(path, image)
    return {**message, "path": path, "origin_w": width, "origin_h": height}


def grayscale(message: Message, bucket: Bucket) -> Message:
    """Grey the resized picture."""
    path = f"grayscale/{message['image_id']}.jpg"
    bucket.put_image(path, bucket.get_image(message["path"], cv2.IMREAD_GRAYSCALE))
    return {**message, "path": path}


def pixels(box: list[float], image: Image) -> tuple[int, int, int, int]:
    """A box in whole pixels, inside the picture."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round(value) for value in box)
    return max(0, x1), max(0, y1), min(width, x2), min(height, y2)


def _draw(image: Image, box: list[float], text: str, colour: tuple[int, int, int]) -> None:
    """A frame and its label."""
    x1, y1, x2, y2 = pixels(box, image)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, 2)
    cv2.putText(image, text, (x1, max(12, y1 - 4)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _blur(image: Image, box: list[float]) -> None:
    """Blur what is in the box."""
    x1, y1, x2, y2 = pixels(box, image)
    if x2 > x1 and y2 > y1:
        image[y1:y2, x1:x2] = cv2.GaussianBlur(image[y1:y2, x1:x2], (51, 51), 30)


def tag(message: Message, bucket: Bucket) -> Message:
    """Draw the findings on the original, blur faces and cars on a copy, store the result."""
    image_id = message["image_id"]
    tagged = bucket.get_image(message["original_path"])
    blurred = tagged.copy()
    for found in message["detections"]:
        _draw(tagged, found["box"], f"{found['label']} {found['score']:.2f}", (0, 200, 0))
        if found["label"] == "car":
            _blur(blurred, found["box"])
    for face in message["faces"]:
        _draw(tagged, face["box"], f"face {face['score']:.2f}", (0, 0, 255))
        _blur(blurred, face["box"])
    bucket.put_image(f"tagged/{image_id}.jpg", tagged)
    bucket.put_image(f"blurred/{image_id}.jpg", blurred)
    bucket.put_json(f"results/{image_id}.json", message)
    return message
