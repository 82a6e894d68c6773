#!/bin/sh
# Takes out of a container's virtual environment what a service never loads: the libraries' own tests and their data,
# and OpenVINO's parts for hardware and formats that we do not use. In the same RUN as pip, or the layer keeps it.
set -eu
packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$packages"
find numpy -path '*/tests/*' -type f ! -name '_natype*' ! -name '__init__*' -delete # numpy.testing loads _natype
rm -rf Crypto/SelfTest onnx/backend/test openvino/include openvino/libs/cache.json
for part in intel_gpu_plugin intel_npu_plugin tensorflow_frontend tensorflow_lite_frontend pytorch_frontend \
  paddle_frontend jax_frontend gguf_frontend; do
  rm -f openvino/libs/libopenvino_$part.so*
done
