# Stands in for prom/prometheus: Debian's Prometheus where the official image has it.
FROM docker.io/library/python:3.11-slim-bookworm
RUN apt-get update -q && apt-get install -y -q --no-install-recommends prometheus wget \
    && mkdir -p /prometheus && chown 65534:65534 /prometheus
VOLUME /prometheus
WORKDIR /prometheus
USER 65534
ENTRYPOINT ["/usr/bin/prometheus"]
