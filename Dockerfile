# One image for web, worker, scheduled, mail, beat and migrate: the code, the pinned packages, the models.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt requirements-uv.txt ./
COPY bin/install bin/python bin/
COPY embedded/pip_settings.py embedded/
ENV UV_CACHE_DIR=/cache/uv PIP_CACHE_DIR=/cache/pip
RUN --mount=type=cache,target=/cache bin/install
COPY inference inference
RUN --mount=type=cache,target=/cache .venv/bin/python -m inference.models.setup --models models
COPY . .
ENV STATIC_MANIFEST=true STATIC_ROOT=/app/staticfiles
# The settings need secrets; these protect nothing and stay in the build stage.
RUN bin/messages && DJANGO_SECRET_KEY=build ENCRYPTION_KEY=MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA= \
    .venv/bin/python manage.py collectstatic --no-input

FROM python:3.13-slim
WORKDIR /app
COPY --from=build /app /app
RUN useradd --system --uid 10001 --no-create-home facecloud && install -d -o facecloud var spool
ENV STATIC_MANIFEST=true STATIC_ROOT=/app/staticfiles
ENV PATH=/app/.venv/bin:$PATH MODELS_DIR=/app/models PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 ORT_DISABLE_TELEMETRY=1
USER 10001
EXPOSE 8000
CMD ["gunicorn", "--config", "deploy/gunicorn.conf.py", "--bind", "0.0.0.0:8000", "facecloud.wsgi"]
