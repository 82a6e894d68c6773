"""The baseline of the benchmarks: the same line as a user would write it in an afternoon.

One process per step, a plain BLPOP and RPUSH, one picture at a time, every picture through the bucket at
every step. It is meant to be short, correct and fair, not slow; what it lacks is what Stageline adds.

    python -m benchmarks.plain_chain grab|resize|grayscale|detect|classify|tag

Settings come from the environment: REDIS_URL, MINIO_ENDPOINT, MINIO_ACCESS_KEY, MINIO_SECRET_KEY, S3_BUCKET,
and YOLOX_PATH for detect, PORT for grab. Each finished picture's id lands on the list `done_queue`.
"""
