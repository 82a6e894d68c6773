"""The metrics of a worker, for Prometheus; each name has its unit."""

from prometheus_client import Counter, Gauge, Histogram

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

PICTURES = Counter("stageline_pictures_total", "Pictures that left a stage, by outcome.", ["stage", "outcome"])
STEP_SECONDS = Histogram(
    "stageline_step_seconds", "Time spent on a picture: fetch, work or store.", ["stage", "step"], buckets=BUCKETS
)
CACHE_READS = Counter("stageline_cache_reads_total", "Reads of the hot cache: hit, miss or away.", ["result"])
HELD = Gauge("stageline_held_pictures", "Pictures taken from the queue and not yet handed on.", ["stage"])
MISSING_MODELS = Gauge("stageline_missing_models", "Models that were never installed.", ["stage"])
REFUSED_MODELS = Gauge("stageline_refused_models", "Models whose current version is no good.", ["stage"])
SERVED_MODELS = Gauge("stageline_served_models", "1 for each model and version that is served.", ["stage", "model"])
UPLOADS = Counter("stageline_uploads_total", "Uploads answered by the door, by HTTP status.", ["status"])
RETURNED = Counter("stageline_returned_total", "Messages taken back from dead workers.", ["stage"])
QUEUE_MESSAGES = Gauge("stageline_queue_messages", "Messages of a stage, by state.", ["stage", "state"])
_served: dict[str, set[str]] = {}


def set_served_models(stage: str, models: set[str]) -> None:
    """Tell which models a stage serves now; whoever reads meanwhile misses none that goes on being served."""
    for model in models:
        SERVED_MODELS.labels(stage, model).set(1)
    for model in _served.get(stage, set()) - models:
        SERVED_MODELS.remove(stage, model)
    _served[stage] = models
