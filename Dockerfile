# Two stages: packages are installed by hash and ours is built in the first; the second holds no installer and no compiler.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements-build.lock requirements-runtime.lock ./
RUN python -m venv /opt/projector \
    && python -m pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /opt/projector/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY events events
COPY projector projector
COPY backfill backfill
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/projector/bin/python -m pip install --no-cache-dir --no-deps /dist/*.whl \
    && /opt/projector/bin/python -m pip uninstall --yes pip

FROM python:3.12-slim
COPY --from=build /opt/projector /opt/projector
ENV PATH=/opt/projector/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# No name for this id has to exist; nothing in the image belongs to it.
USER 65532:65532
WORKDIR /
STOPSIGNAL SIGTERM
CMD ["projector", "--help"]
