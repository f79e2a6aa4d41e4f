# syntax=docker/dockerfile:1
# One image for both services and the operator's tool; what runs is the command: control-api, edge-gateway or keystone.
# Build context: the top folder. Images are named by tag here and pinned by digest at release (.github/workflows/release.yml).

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Each cache outlives the build, so the programs are copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release -p control -p edge -p keystone --bins \
    && install -D -t /out target/release/control-api target/release/edge-gateway target/release/keystone \
    && strip --strip-debug /out/*

FROM debian:bookworm-slim
# ffmpeg cuts thumbnails (edge-gateway), ca-certificates verify managed Postgres and Redis.
# No versions are pinned: Debian stable moves only by security fixes, and those are wanted.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin keystone
COPY --from=build /out/ /usr/local/bin/
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# control-api; edge-gateway: HTTP, RTMP, SRT, WebRTC
EXPOSE 8081 8082 1935 10080/udp 8000/udp 8000/tcp
# Both end within their own deadlines after SIGTERM.
STOPSIGNAL SIGTERM
CMD ["keystone", "--help"]
