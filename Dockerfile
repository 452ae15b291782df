# Two images: `web` for web, scheduled, mail, beat and migrate; `worker` for inference, without the code for
# customers and money, a database driver or cryptography. Packages and models are in lower layers, so a change
# of the code replaces a few megabytes.

# compose.yaml sets this argument, with a digest after deploy/pin.
ARG PYTHON_IMAGE=python:3.13-slim

FROM $PYTHON_IMAGE AS build
WORKDIR /app
# An alternative package index for the installers.
ARG PIP_INDEX_URL
ENV PIP_INDEX_URL=$PIP_INDEX_URL UV_DEFAULT_INDEX=$PIP_INDEX_URL UV_LINK_MODE=copy UV_CACHE_DIR=/cache/uv PIP_CACHE_DIR=/cache/pip
COPY requirements-uv.txt requirements-build.txt ./
RUN --mount=type=cache,target=/cache python -m venv /build && \
    /build/bin/pip install --quiet --require-hashes --requirement requirements-uv.txt && \
    /build/bin/uv pip install --quiet --python /build --require-hashes --requirement requirements-build.txt

FROM build AS models
COPY inference inference
RUN --mount=type=cache,target=/cache /build/bin/python -m inference.models.setup --models /models

FROM build AS worker-packages
COPY requirements-worker.txt ./
RUN --mount=type=cache,target=/cache python -m venv --without-pip /venv && \
    /build/bin/uv pip install --quiet --python /venv --require-hashes --requirement requirements-worker.txt && \
    # Delete 100 MB that no worker loads: tests, stubs, the second copy of onnxruntime (for C) and its tools, and all of
    # Django except its settings. The stage `worker` imports what it runs, so that a missing file fails the build.
    cd /venv/lib/python3.*/site-packages && find . -type d -name tests -prune -exec rm -r {} + && \
    find . -name '*.pyi' -delete && cd onnxruntime && \
    rm -r capi/libonnxruntime.so.* transformers quantization tools datasets backend && cd .. && \
    rm -r numpy/f2py numpy/_core/include google/protobuf sqlparse && cd django && \
    rm -r contrib conf/locale db forms template templatetags test views middleware

FROM build AS web-packages
COPY requirements-server.txt ./
RUN --mount=type=cache,target=/cache python -m venv --without-pip /venv && \
    /build/bin/uv pip install --quiet --python /venv --require-hashes --compile-bytecode \
        --requirement requirements-server.txt

FROM web-packages AS web-code
COPY . .
# The settings need secrets; these protect nothing and stay in this stage.
RUN VENV=/build bin/messages && \
    DJANGO_SECRET_KEY=build ENCRYPTION_KEY=MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA= \
    STATIC_MANIFEST=true STATIC_ROOT=/app/staticfiles /venv/bin/python manage.py collectstatic --no-input

FROM $PYTHON_IMAGE AS run
WORKDIR /app
RUN groupadd --gid 10001 facecloud && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app facecloud && \
    install -d -o 10001 -g 10001 var spool
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM run AS worker
COPY --from=worker-packages /venv /venv
COPY --from=models /models models
COPY inference inference
COPY common common
COPY facecloud/__init__.py facecloud/env.py facecloud/settings_worker.py facecloud/
RUN python -B -c "import inference.celery, celery.bin.celery, celery.bin.worker, celery.apps.worker, celery.concurrency.thread, celery.concurrency.prefork, inference.worker.tasks"
ENV MODELS_DIR=/app/models OMP_NUM_THREADS=1 ORT_DISABLE_TELEMETRY=1
USER 10001:10001
CMD ["celery", "--app", "inference", "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"]

FROM run AS web
COPY --from=web-packages /venv /venv
COPY --from=web-code /app /app
ENV STATIC_MANIFEST=true STATIC_ROOT=/app/staticfiles
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:8000", "facecloud.wsgi"]
