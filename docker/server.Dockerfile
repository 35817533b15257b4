# The board: torch-free. Build from the repository's root:
#   docker build --file docker/server.Dockerfile --build-arg COMMIT=$(git rev-parse HEAD) .
FROM python:3.12-slim
ARG COMMIT=unknown
ENV FIVE_DOLLAR_COMMIT=$COMMIT \
    FIVE_DOLLAR_DATABASE_URL=sqlite:////data/board.sqlite \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY baselines baselines
COPY submissions submissions
COPY core core
COPY runner runner
COPY server server
RUN pip install --no-cache-dir --constraint constraints.txt ".[parquet]" \
    && useradd --create-home board \
    && mkdir /data \
    && chown board /data
USER board
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "server"]
