# Builds Doorline from source. See docker-compose.yml for how it is run.
FROM rust:1-bookworm AS build
# CMake builds libopus.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/doorline

FROM debian:bookworm-slim
# Certificates of mail servers, and the time zones of meetings.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10060 --home-dir /var/lib/doorline doorline \
 && install -d -o doorline -g doorline -m 0700 /var/lib/doorline
COPY --from=build /src/target/release/doorline /usr/local/bin/doorline
COPY sip-config /etc/doorline
USER doorline
VOLUME /var/lib/doorline
# bash speaks HTTP well enough here, so that the image needs no client for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["bash", "-c", \
  "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -n1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["doorline"]
CMD ["serve", "--config", "/etc/doorline/example.toml"]
