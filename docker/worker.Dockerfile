# A worker: trains on the GPU that the container is given, or on the processor.
# Build from the repository's root:
#   docker build --file docker/runser.Dockerfile --build-arg COMMIT=$(git rev-parse HEAD) .
FROM python:3.12-slim
ARG COMMIT=unknown
ENV FIVE_DOLLAR_COMMIT=$COMMIT \
    FIVE_DOLLAR_DIRECTORY=/runs \
    PYTHONUNBUFFERED=1
# A compiler: torch.compile builds its kernels' launchers with it.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY baselines baselines
COPY submissions submissions
COPY core core
COPY runner runner
COPY server server
RUN pip install --no-cache-dir --constraint constraints.txt '.[train]' \
    && useradd --create-home worker \
    && mkdir /runs \
    && chown worker /runs
USER worker
VOLUME /runs
CMD ["runner", "worker"]
