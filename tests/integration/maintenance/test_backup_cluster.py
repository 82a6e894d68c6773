"""Backups in a cluster, with the real rclone: the nightly job's own commands, and backup.sh by way of kubectl."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stageline.store import FolderStore, S3Store, rclone
from tests.support import commands, manifests
from tests.support.backup_place import script
from tests.support.bucket_makers import NETWORKS, PICTURES, content, fill, need_rclone
from tests.support.servers import MinioServer
from tests.support.serving import s3_settings


@pytest.fixture
def server(start_minio) -> MinioServer:
    """A MinIO with both buckets."""
    need_rclone()
    minio = start_minio()
    fill(S3Store.from_settings(s3_settings(minio, "images")), PICTURES)
    fill(S3Store.from_settings(s3_settings(minio, "models")), NETWORKS)
    return minio


def credentials(server: MinioServer) -> dict[str, str]:
    """The store's keys, as the line's settings."""
    return {"MINIO_ACCESS_KEY": server.access_key, "MINIO_SECRET_KEY": server.secret_key}


def test_the_nightly_job_keeps_seven_whole_nights(server: MinioServer, tmp_path: Path) -> None:
    """Its commands make a checked folder; what was begun and the eighth night go, archives of 0.1.0 among them."""
    pod = manifests.workload(manifests.named("CronJob", "backup-bucket")).pod
    backups, scripts = tmp_path / "backups", tmp_path / "scripts"
    scripts.mkdir()
    old = [backups / f"buckets-2026-01-0{day}T023000Z{'.tar' if day < 3 else ''}" for day in range(1, 9)]
    for each in (*old, backups / "buckets-2026-01-09T023000Z.unchecked", backups / "database-2026-01-01T020000Z.dump"):
        each.mkdir(parents=True)
    for box in (pod["initContainers"][0], pod["containers"][0]):
        text = box["command"][2].replace("/scripts/", f"{scripts}/").replace("/backups", str(backups))
        own = (
            commands.environment(MINIO_ENDPOINT=server.endpoint, **credentials(server))
            if box["name"] == "scripts"
            else None
        )
        subprocess.run(
            ["sh", "-euc", text.replace("python -P", f"{sys.executable} -P")],
            env=own or commands.environment(), check=True, timeout=300,
        )  # fmt: skip
    names = sorted(path.name for path in backups.iterdir())
    (new,) = (name for name in names if name > "buckets-2026-02" and name.startswith("buckets"))
    assert names == [*(path.name for path in old[2:]), new, "database-2026-01-01T020000Z.dump"]
    assert content(FolderStore(backups / new / "images")) == PICTURES
    rclone.run((scripts / "check").read_text(), backups / new)


def test_in_a_cluster_the_store_is_reached_by_a_forwarded_port(server: MinioServer, tmp_path: Path) -> None:
    """Out and in again; here a stand-in for kubectl runs what a pod would, where `minio:9000` is out of reach."""
    port = server.endpoint.rpartition(":")[2]
    own = " ".join(
        f"{name}='{value}'" for name, value in {**credentials(server), "MINIO_ENDPOINT": "minio:9000"}.items()
    )
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(
        '#!/bin/bash\necho "$@" >>"$0.log"\n'
        f'case "$*" in *" port-forward "*) echo "Forwarding from 127.0.0.1:{port} -> 9000"; exec sleep 600 ;; esac\n'
        '[ "$3" = exec ] || exit 0\nwhile [ "$1" != -- ]; do shift; done\nshift\n'
        'case "$*" in *" bucket count") echo "images: 0 objects"; exit ;; esac\n'
        f'[ "$1" = python ] && {{ shift; set -- {sys.executable} "$@"; }}\nexec env {own} CACHE_URL=off "$@"\n'
    )
    kubectl.chmod(0o755)
    path = f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}"
    done = script("backup.sh", "--place", "kubernetes", tmp_path / "b", PATH=path)
    assert done.returncode == 0, done.stderr
    assert content(FolderStore(tmp_path / "b" / "buckets" / "images")) == PICTURES
    images = S3Store.from_settings(s3_settings(server, "images"))
    images.delete("tagged/a.jpg")
    done = script("restore.sh", "--place", "kubernetes", "--yes", tmp_path / "b", PATH=path)
    assert done.returncode == 0, done.stderr
    assert content(images) == PICTURES
    ran = Path(f"{kubectl}.log").read_text()
    assert "port-forward service/minio :9000" in ran
    assert server.secret_key not in ran
