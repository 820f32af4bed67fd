# tritonserver from pip with our own backend, in place of NVIDIA's image; see builder.py.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
COPY . /opt/local_triton
RUN python /opt/local_triton/serve.py --setup-only --environment /opt/triton
RUN triton=/opt/triton/venv/lib/python3.11/site-packages/pytriton/tritonserver \
 && printf '#!/bin/sh\nexec %s/bin/tritonserver "$@" --backend-directory=/opt/triton/backends --cache-directory=%s/caches --allow-gpu-metrics=false\n' "$triton" "$triton" > /usr/local/bin/tritonserver \
 && chmod 755 /usr/local/bin/tritonserver
