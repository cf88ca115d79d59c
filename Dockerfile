# An image with the worker and the starter only:
#   docker build -t rotate-user . && docker run rotate-user
#   docker run --entrypoint starter rotate-user --help
FROM golang:1.26.8 AS build
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

# This base has certificate authorities, time zones, and an unprivileged user.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /usr/local/bin/
# On the default, 127.0.0.1, metrics could not be scraped from outside the container.
ENV ROTATE_USER_METRICS_ADDRESS=:9464
EXPOSE 9464
HEALTHCHECK CMD ["worker", "health"]
ENTRYPOINT ["worker"]
