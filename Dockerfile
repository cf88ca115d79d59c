# The worker and the starter, without anything else:
#   docker build -t rotate-user . && docker run rotate-user
#   docker run --entrypoint starter rotate-user --help
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY activities activities
COPY internal internal
COPY rotation rotation
COPY starter starter
COPY worker worker
COPY workflows workflows
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/ ./worker ./starter

# Certificate authorities, time zones, and a user without rights.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /usr/local/bin/
# The default, 127.0.0.1, could not be scraped from outside the container.
ENV ROTATE_USER_METRICS_ADDRESS=:9464
EXPOSE 9464
HEALTHCHECK CMD ["worker", "health"]
ENTRYPOINT ["worker"]
