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

# ffmpeg cuts a thumbnail out of a segment (edge-gateway) and does nothing else here: from Debian's source, with the two decoders, two containers
# and one encoder of that, 4 MB instead of 500, and far less for a hostile stream to reach.
FROM debian:bookworm-slim AS ffmpeg
# No versions are pinned: Debian stable moves only by security fixes, and those are wanted.
# hadolint ignore=DL3003,DL3008
RUN sed -i 's/^Types: deb$/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources \
    && apt-get update \
    && apt-get install -y --no-install-recommends dpkg-dev gcc libc6-dev make \
    && apt-get source ffmpeg \
    && cd ffmpeg-*/ \
    && ./configure --disable-everything --disable-autodetect --disable-doc --disable-network --disable-debug --disable-x86asm \
    --enable-small --disable-ffplay --disable-ffprobe --enable-decoder=h264,hevc --enable-parser=h264,hevc \
    --enable-demuxer=mpegts,mov --enable-encoder=mjpeg --enable-muxer=image2pipe --enable-filter=scale --enable-protocol=pipe \
    --extra-ldflags=-static \
    && make -j"$(nproc)" ffmpeg \
    && strip ffmpeg \
    && install -D -t /out ffmpeg

FROM debian:bookworm-slim
# They verify managed Postgres and Redis.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin keystone
COPY --from=build /out/ /usr/local/bin/
COPY --from=ffmpeg /out/ /usr/local/bin/
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# control-api; edge-gateway: HTTP, RTMP, SRT, WebRTC
EXPOSE 8081 8082 1935 10080/udp 8000/udp 8000/tcp
# Both end within their own deadlines after SIGTERM.
STOPSIGNAL SIGTERM
CMD ["keystone", "--help"]
