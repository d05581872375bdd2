# Stands in for postgres:17-bookworm: Debian's PostgreSQL, the same user, the same variables, the same folder.
FROM docker.io/library/python:3.11-slim-bookworm
RUN groupadd -g 999 postgres && useradd -r -u 999 -g 999 postgres \
    && apt-get update -q && apt-get install -y -q --no-install-recommends postgresql \
    && mkdir -p /var/lib/postgresql/data && chown -R 999:999 /var/lib/postgresql /var/run/postgresql \
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ 2>/dev/null || true
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["bash", "/usr/local/bin/docker-entrypoint.sh"]
