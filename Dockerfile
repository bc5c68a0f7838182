# One image for every process of Wend's; docker-compose.yml says which command each container runs.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/wend
WORKDIR /src
# The lock first: it changes seldom, and its layer is kept while it does not.
COPY requirements/run.txt requirements/run.txt
RUN /opt/wend/bin/pip install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE worker.py ./
COPY wend wend
COPY workflows workflows
COPY activities activities
COPY api api
RUN /opt/wend/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --user-group --no-create-home wend \
    && install --directory --owner=wend --group=wend /data
COPY --from=build /opt/wend /opt/wend
# Time zones from the locked tzdata, and not from whatever the base image has.
ENV PATH=/opt/wend/bin:$PATH PYTHONUNBUFFERED=1 PYTHONTZPATH=
USER wend
WORKDIR /data
CMD ["wend", "--help"]
