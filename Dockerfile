# antecede in a container: the program, `config/` and `rules/`, and a directory for the data.
#
#   docker build -t antecede .
#   docker run -p 127.0.0.1:8377:8377 -v antecede:/var/lib/antecede \
#     -v ./token:/run/secrets/antecede:ro -e ANTECEDE_TOKEN_FILE=/run/secrets/antecede antecede
#
# Inside a container the daemon must listen on every address to be reached at all, and so it does not
# start without a token: whoever wants to serve everybody appends `--allow-unauthenticated` to the
# command, in words.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock askama.toml ./
COPY .cargo .cargo
COPY src src
# The program carries these within itself, too.
COPY config config
COPY rules rules
COPY incidents incidents
# What the dependencies compile to is kept in a cache beside the layers: an edit of `src` compiles
# only this program.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin antecede \
    && mkdir -p /image/data \
    && cp target/release/antecede /image/

# No shell and no package manager; root certificates are there; the user is not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/antecede /usr/local/bin/antecede
COPY config /etc/antecede/config
COPY rules /etc/antecede/rules
COPY --from=build --chown=nonroot:nonroot /image/data /var/lib/antecede
USER nonroot
VOLUME /var/lib/antecede
EXPOSE 8377
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["antecede", "ready"]
ENTRYPOINT ["antecede"]
CMD ["serve", "--config", "/etc/antecede/config/antecede.toml", "--data-dir", "/var/lib/antecede", "--listen", "0.0.0.0:8377"]
