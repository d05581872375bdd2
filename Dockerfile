# Two stages: the first builds the wheel (which bundles the dashboard's assets), the second holds only what runs.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY migrations migrations
COPY controller controller
RUN python -m venv /opt/canary \
    && pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && /opt/canary/bin/pip install --no-cache-dir "$(ls /wheels/canary_controller-*.whl)[server]"

FROM ${BASE}
LABEL org.opencontainers.image.title="canary-controller" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/canary /opt/canary
RUN mkdir /data && chown 10001:10001 /data
ENV PATH=/opt/canary/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CANARY_HOST=0.0.0.0 \
    CANARY_PORT=8321
# The embedded database, if none is named, lives in the working directory: mount a volume there.
WORKDIR /data
USER 10001:10001
EXPOSE 8321
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; h = os.environ[\"CANARY_HOST\"]; r.urlopen(f'http://{\"127.0.0.1\" if h == \"0.0.0.0\" else h}:{os.environ[\"CANARY_PORT\"]}/healthz', timeout=3)"]
CMD ["canary", "serve"]
