# The gateway as a small image: what requirements/cluster.txt pins, by hash, and this source. Runs as nobody in
# particular, needs no writable file system but /data (and /tmp when it backs up PostgreSQL), and holds no secret.
# Packages come from the index that pip is set up for; where another one is needed, say so in pip's own settings.

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/build && python -m venv --without-pip /opt/dominion
COPY requirements/build.txt requirements/cluster.txt /src/requirements/
RUN /opt/build/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes --only-binary=:all: -r requirements/build.txt
RUN /opt/build/bin/pip --python /opt/dominion/bin/python install --quiet --disable-pip-version-check --no-cache-dir --require-hashes --only-binary=:all: -r requirements/cluster.txt
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN PATH=/opt/build/bin:$PATH /opt/build/bin/pip wheel --quiet --disable-pip-version-check --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /src/dist .
RUN /opt/build/bin/pip --python /opt/dominion/bin/python install --quiet --disable-pip-version-check --no-cache-dir --no-index --no-deps /src/dist/*.whl
RUN install -d -m 0700 -o 10001 -g 10001 /data

FROM python:3.11-slim
COPY --from=build /opt/dominion /opt/dominion
COPY --from=build --chown=10001:10001 /data /data
ENV PATH=/opt/dominion/bin:$PATH HOME=/data PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV DOMINION_DATA_DIR=/data HOST=0.0.0.0 PORT=3100
USER 10001:10001
VOLUME /data
EXPOSE 3100
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-c", "import os, urllib.request as ask; ask.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health\", timeout=2)"]
ENTRYPOINT ["dominion"]
CMD ["serve"]
